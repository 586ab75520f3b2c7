import { mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';

import type { LogTarget } from '../../../runtime/runtime.ts';
import { parseSize } from '../../sizes.ts';
import type { ContainerRecord } from '../record.ts';
import { isTrue } from './options.ts';

/** Where the container's log is, by its driver. */
export const logPath = (directory: string, record: ContainerRecord): string =>
  record.hostConfig.LogConfig?.Type === 'local'
    ? join(directory, 'local-logs', 'container.log')
    : join(directory, `${record.id}-json.log`);

const LOCAL_DEFAULTS: Readonly<Record<string, string>> = { 'max-size': '20m', 'max-file': '5', compress: 'true' };

/** The container's log driver and its options → what the shim writes. */
export function logTarget(record: ContainerRecord, directory: string): LogTarget {
  const { Type = 'json-file', Config } = record.hostConfig.LogConfig ?? {};
  if (Type === 'none') return { driver: 'none' };
  const options = Config ?? {};
  const local = Type === 'local';
  const defaults = local ? LOCAL_DEFAULTS : {};
  const maxSize = options['max-size'] ?? defaults['max-size'];
  const maxFiles = Number(options['max-file'] ?? defaults['max-file'] ?? 0);
  const path = logPath(directory, record);
  if (local) mkdirSync(dirname(path), { recursive: true, mode: 0o710 });
  return {
    driver: local ? 'local' : 'json-file',
    path,
    maxSize: maxSize && maxSize !== '-1' ? parseSize(maxSize) : undefined,
    maxFiles: maxFiles || undefined,
    compress: (isTrue(options.compress ?? defaults.compress) && maxFiles > 1) || undefined,
    nonBlockingBytes: options.mode === 'non-blocking' ? parseSize(options['max-buffer-size'] ?? '1m') : undefined,
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
  const matching = (pattern: string | undefined, names: Iterable<string>): string[] =>
    pattern ? [...names].filter((name) => new RegExp(pattern).test(name)) : [];
  for (const name of matching(options['labels-regex'], Object.keys(labels))) found[name] = labels[name]!;
  for (const name of matching(options['env-regex'], env.keys())) found[name] = env.get(name)!;
  if (options.tag) found.tag = expandTag(options.tag, record);
  return Object.keys(found).length > 0 ? found : undefined;
}

/** The log-opt tag's template, with the fields that Docker's documentation names. */
function expandTag(template: string, record: ContainerRecord): string {
  const image = record.imageId.replace(/^sha256:/, '');
  const fields: Readonly<Record<string, string>> = {
    ID: record.id.slice(0, 12),
    FullID: record.id,
    Name: record.name,
    ImageID: image.slice(0, 12),
    ImageFullID: record.imageId,
    ImageName: record.imageName,
    DaemonName: 'docker',
  };
  return template.replace(/\{\{\s*\.(\w+)\s*\}\}/g, (all, name: string) => fields[name] ?? all);
}
