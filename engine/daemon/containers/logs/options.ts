import { invalidParameter } from '../../../errors.ts';
import type { HostConfig } from '../../../model/container.ts';
import { parseSize } from '../../sizes.ts';

const COMMON = ['mode', 'max-buffer-size'];
const DRIVERS: Readonly<Record<string, readonly string[]>> = {
  'json-file': ['max-file', 'max-size', 'compress', 'labels', 'labels-regex', 'env', 'env-regex', 'tag'],
  local: ['max-file', 'max-size', 'compress'],
  none: [],
};

const isBool = (text: string): boolean => /^(1|t|true|0|f|false)$/i.test(text);
export const isTrue = (text: string | undefined): boolean => /^(1|t|true)$/i.test(text ?? '');

/** Checks the log driver's name and options, in dockerd's words. */
export function checkLogConfig(log: HostConfig['LogConfig']): void {
  const driver = log?.Type || 'json-file';
  const options = log?.Config ?? {};
  const known = DRIVERS[driver];
  if (!known) throw invalidParameter(`logger: no log driver named '${driver}' is registered`);
  const mode = options.mode ?? '';
  if (!['', 'blocking', 'non-blocking'].includes(mode)) {
    throw invalidParameter(`logger: logging mode not supported: ${mode}`);
  }
  if (options['max-buffer-size'] !== undefined) {
    if (mode !== 'non-blocking') {
      throw invalidParameter("logger: max-buffer-size option is only supported with 'mode=non-blocking'");
    }
    size(options['max-buffer-size'], 'error parsing option max-buffer-size');
  }
  for (const name of Object.keys(options)) {
    if (!known.includes(name) && !COMMON.includes(name)) {
      throw invalidParameter(`unknown log opt '${name}' for ${driver} log driver`);
    }
  }
  checkFiles(driver, options);
}

function checkFiles(driver: string, options: Readonly<Record<string, string>>): void {
  const { 'max-size': maxSize, 'max-file': maxFile, compress } = options;
  if (maxSize !== undefined && maxSize !== '-1' && size(maxSize, 'invalid value for max-size') <= 0) {
    throw invalidParameter('max-size should be a positive number');
  }
  if (maxFile !== undefined) {
    if (!/^[+-]?\d+$/.test(maxFile)) {
      throw invalidParameter(`strconv.Atoi: parsing ${JSON.stringify(maxFile)}: invalid syntax`);
    }
    if (Number(maxFile) < 1) throw invalidParameter('max-file cannot be less than 1');
  }
  if (compress !== undefined && !isBool(compress)) {
    throw invalidParameter(`strconv.ParseBool: parsing ${JSON.stringify(compress)}: invalid syntax`);
  }
  // The local driver rotates and compresses by itself; json-file compresses what it rotates.
  if (driver === 'json-file' && isTrue(compress) && (Number(maxFile ?? 1) < 2 || !maxSize)) {
    throw invalidParameter('compress cannot be true when max-file is less than 2 or max-size is not set');
  }
  for (const name of ['labels-regex', 'env-regex']) {
    const pattern = options[name];
    if (pattern === undefined) continue;
    try {
      new RegExp(pattern);
    } catch (error) {
      throw invalidParameter(`error parsing regexp: ${(error as Error).message}`);
    }
  }
}

function size(text: string, what: string): number {
  try {
    return parseSize(text);
  } catch (error) {
    throw invalidParameter(`${what}: ${(error as Error).message}`);
  }
}
