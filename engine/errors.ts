/**
 * The engine's errors are data: a closed set of kinds, each with a message in Docker's wording. Which HTTP status a kind
 * becomes is decided in one place, engine/api/errors.ts; everything below the API only names the kind.
 */
export type ErrorKind =
  | 'invalidParameter'
  | 'unauthorized'
  | 'forbidden'
  | 'notFound'
  | 'conflict'
  | 'notModified'
  | 'unavailable'
  | 'notImplemented'
  | 'cancelled'
  | 'system';

export class EngineError extends Error {
  override readonly name = 'EngineError';
  readonly kind: ErrorKind;

  constructor(kind: ErrorKind, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.kind = kind;
  }
}

export const invalidParameter = (message: string, cause?: unknown) =>
  new EngineError('invalidParameter', message, cause);
export const notFound = (message: string, cause?: unknown) => new EngineError('notFound', message, cause);
export const conflict = (message: string, cause?: unknown) => new EngineError('conflict', message, cause);
export const notModified = (message = '') => new EngineError('notModified', message);
export const unavailable = (message: string, cause?: unknown) => new EngineError('unavailable', message, cause);
export const notImplemented = (message: string) => new EngineError('notImplemented', message);
export const forbidden = (message: string, cause?: unknown) => new EngineError('forbidden', message, cause);
export const unauthorized = (message: string, cause?: unknown) => new EngineError('unauthorized', message, cause);
export const cancelled = (message = 'context canceled') => new EngineError('cancelled', message);
export const systemError = (message: string, cause?: unknown) => new EngineError('system', message, cause);

export const isKind = (error: unknown, kind: ErrorKind): error is EngineError =>
  error instanceof EngineError && error.kind === kind;

/** The words of any thrown value, for messages and logs. */
export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** Whether a Node or system call error has one of these errno names. */
export const hasCode = (error: unknown, ...codes: string[]): boolean =>
  error instanceof Error && codes.includes((error as NodeJS.ErrnoException).code ?? '');
