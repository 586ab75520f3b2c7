import type { LogRequest } from '../../contract/engine.ts';
import { ServiceError } from '../errors.ts';

/** What comes from a window is looked at here: ids end up in URL paths, paths in archives. */

export function nameOrId(value: unknown): string {
  if (typeof value === 'string' && /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/.test(value)) return value;
  throw new ServiceError('invalid', 'That is not the name or id of a container.');
}

export function absolutePath(value: unknown): string {
  if (typeof value === 'string' && value.startsWith('/') && !value.includes('\0') && value.length <= 4_095)
    return value;
  throw new ServiceError('invalid', 'That is not an absolute path.');
}

export function fileName(value: unknown): string {
  const fits = typeof value === 'string' && value !== '' && value !== '.' && value !== '..' && !/[/\0]/.test(value);
  if (fits && Buffer.byteLength(value) <= 255) return value;
  throw new ServiceError('invalid', 'That is not the name of a file.');
}

export function logRequest(request: LogRequest | undefined): LogRequest {
  const tail = Number(request?.tail);
  const until = request?.until;
  return {
    tail: request?.tail === 'all' ? 'all' : Number.isInteger(tail) && tail >= 0 ? Math.min(tail, 100_000) : 1_000,
    follow: request?.follow === true,
    timestamps: request?.timestamps === true,
    ...(typeof until === 'string' && /^\d{4}-[\d:.TZ+-]{6,40}$/.test(until) ? { until } : {}),
  };
}
