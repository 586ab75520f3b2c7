import { isAbsolute, resolve } from 'node:path';
import { ServiceError } from './errors.ts';

/** Checks of what a shell sent. What passes can stand in a URL's path, and means what its name says. */

const bad = (what: string) => new ServiceError('invalid', `That is not ${what}.`);

export function networkName(value: unknown): string {
  if (typeof value === 'string' && /^[a-zA-Z0-9][a-zA-Z0-9_. -]*$/.test(value)) return value;
  throw bad('the name or id of a network');
}

export function volumeName(value: unknown): string {
  if (typeof value === 'string' && /^[a-zA-Z0-9][a-zA-Z0-9_.-]+$/.test(value)) return value;
  throw new ServiceError(
    'invalid',
    'That is not the name of a volume.',
    'Use at least two letters, digits, dots, underscores or dashes, and begin with a letter or digit.',
  );
}

export function containerName(value: unknown): string {
  if (typeof value === 'string' && /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/.test(value)) return value;
  throw bad('the name or id of a container');
}

export function imageReference(value: unknown): string {
  if (typeof value === 'string' && /^[a-zA-Z0-9][a-zA-Z0-9_.:/@-]*$/.test(value) && !value.includes('..')) return value;
  throw bad('the name or id of an image');
}

/** `repository[:tag]` as the engine's two parameters; a digest stays with the repository. */
export function splitReference(reference: string): { repository: string; tag: string } {
  if (reference.includes('@')) return { repository: reference, tag: '' };
  const colon = reference.lastIndexOf(':');
  if (colon <= reference.lastIndexOf('/')) return { repository: reference, tag: 'latest' };
  return { repository: reference.slice(0, colon), tag: reference.slice(colon + 1) };
}

/** An absolute path of this computer, without `..`. */
export function hostPath(value: unknown): string {
  if (typeof value === 'string' && isAbsolute(value) && !value.includes('\0')) return resolve(value);
  throw bad('an absolute path');
}

export function text(value: unknown, longest = 4_096): string {
  if (value === undefined || value === null) return '';
  if (typeof value === 'string' && value.length <= longest) return value;
  throw bad('a text that can be used here');
}

export function texts(value: unknown): string[] {
  if (value === undefined) return [];
  if (Array.isArray(value) && value.length <= 1_000) return value.map((one) => text(one));
  throw bad('a list of texts');
}

export function textRecord(value: unknown): Record<string, string> {
  if (value === undefined || value === null) return {};
  if (typeof value !== 'object' || Array.isArray(value)) throw bad('a list of names and values');
  return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, text(one, 64 * 1024)]));
}
