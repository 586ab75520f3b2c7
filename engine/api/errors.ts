import { EngineError, type ErrorKind, messageOf } from '../errors.ts';

/** The one place where an error kind becomes an HTTP status, as moby's api/server/httpstatus does. */
const STATUS: Record<ErrorKind, number> = {
  invalidParameter: 400,
  unauthorized: 401,
  forbidden: 403,
  notFound: 404,
  conflict: 409,
  notModified: 304,
  unavailable: 503,
  notImplemented: 501,
  cancelled: 499,
  system: 500,
};

export function statusOf(error: unknown): number {
  return error instanceof EngineError ? STATUS[error.kind] : 500;
}

/** Docker's error body: `{"message": "…"}` (swagger: ErrorResponse). */
export function errorBody(error: unknown): { message: string } {
  return { message: messageOf(error) };
}
