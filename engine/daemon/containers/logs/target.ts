import { join } from 'node:path';

import { invalidParameter } from '../../../errors.ts';
import type { LogTarget } from '../../../runtime/runtime.ts';
import type { ContainerRecord } from '../record.ts';

const UNITS: Record<string, number> = { '': 1, b: 1, k: 1024, m: 1024 ** 2, g: 1024 ** 3, t: 1024 ** 4 };

/** A size as people write it in options: 10m, 512k, 1g (binary units). Bytes. */
export function parseSize(text: string): number {
  const match = /^(\d+(?:\.\d+)?)\s*([bkmgt]?)(?:i?b)?$/i.exec(text.trim());
  if (!match) throw invalidParameter(`invalid size: '${text}'`);
  return Math.floor(Number(match[1]) * UNITS[match[2]!.toLowerCase()]!);
}

/** Where the container's json-file log is. */
export const logPath = (directory: string, id: string): string => join(directory, `${id}-json.log`);

/** The container's log driver and its options → what the shim writes. */
export function logTarget(record: ContainerRecord, directory: string): LogTarget {
  const { Type = 'json-file', Config } = record.hostConfig.LogConfig ?? {};
  if (Type === 'none') return { driver: 'none' };
  const options = Config ?? {};
  return {
    driver: 'json-file',
    path: logPath(directory, record.id),
    maxSize: options['max-size'] && options['max-size'] !== '-1' ? parseSize(options['max-size']) : undefined,
    maxFiles: options['max-file'] ? Number(options['max-file']) : undefined,
    compress: options.compress === 'true' || undefined,
    attributes: extraAttributes(record, options),
  };
}

/** Labels and variables that the user wants with each line (log-opts labels, env, tag). */
function extraAttributes(
  record: ContainerRecord,
  options: Readonly<Record<string, string>>,
): Record<string, string> | undefined {
  const found: Record<string, string> = {};
  const labels = record.config.Labels ?? {};
  for (const name of (options.labels ?? '').split(',')) if (name in labels) found[name] = labels[name]!;
  const env = new Map((record.config.Env ?? []).map((entry) => [entry.split('=')[0]!, entry.replace(/^[^=]*=/, '')]));
  for (const name of (options.env ?? '').split(',')) if (env.has(name)) found[name] = env.get(name)!;
  return Object.keys(found).length > 0 ? found : undefined;
}
