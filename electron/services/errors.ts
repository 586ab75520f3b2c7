import type { ErrorKind, WireError } from '../contract/errors.ts';
import { MachineError } from '../machine/types.ts';
import { TunnelError } from '../tunnel/types.ts';
import { EngineUnreachable } from './engines/problem.ts';

/** An error that a service raises itself. */
export class ServiceError extends Error {
  override readonly name = 'ServiceError';
  readonly kind: ErrorKind;
  readonly hint: string;

  constructor(kind: ErrorKind, message: string, hint = '') {
    super(message);
    this.kind = kind;
    this.hint = hint;
  }
}

/** The one place that turns whatever a service threw into what a shell gets. */
export function toWire(error: unknown): WireError {
  if (error instanceof ServiceError) {
    return { kind: error.kind, message: error.message, hint: error.hint, detail: '' };
  }
  if (error instanceof MachineError) {
    const kind: ErrorKind =
      error.kind === 'aborted' ? 'cancelled' : error.kind === 'not-running' ? 'unavailable' : 'failed';
    return { kind, message: error.message, hint: error.hint, detail: error.log.join('\n') };
  }
  if (error instanceof TunnelError) {
    return { kind: 'unavailable', message: error.message, hint: error.hint, detail: String(error.cause ?? '') };
  }
  if (error instanceof EngineUnreachable) {
    const { code, detail } = error.problem;
    return { kind: 'unavailable', message: `The engine can’t be reached: ${detail || code}`, hint: '', detail };
  }
  if (isAbort(error)) return { kind: 'cancelled', message: 'Cancelled.', hint: '', detail: '' };
  return fromEngine(error) ?? { kind: 'failed', message: messageOf(error), hint: '', detail: String(error) };
}

const STATUS: Record<number, ErrorKind> = {
  304: 'not-modified',
  400: 'invalid',
  403: 'forbidden',
  404: 'not-found',
  409: 'conflict',
  503: 'unavailable',
};

/** dockerode's errors carry the engine's status and its `{message}`. */
function fromEngine(error: unknown): WireError | undefined {
  const { statusCode, json, code } = (error ?? {}) as { statusCode?: number; json?: unknown; code?: string };
  if (typeof statusCode === 'number') {
    const message = (json as { message?: string } | undefined)?.message ?? messageOf(error);
    return {
      kind: STATUS[statusCode] ?? 'failed',
      message,
      hint: '',
      detail: `HTTP ${statusCode}: ${messageOf(error)}`,
    };
  }
  if (code === 'ECONNREFUSED' || code === 'ENOENT' || code === 'ECONNRESET' || code === 'EPIPE') {
    const message = 'The engine does not answer.';
    const hint = code === 'ECONNREFUSED' || code === 'ENOENT' ? 'Start the machine.' : '';
    return { kind: 'unavailable', message, hint, detail: String(error) };
  }
  return undefined;
}

function isAbort(error: unknown): boolean {
  return error instanceof Error && (error.name === 'AbortError' || (error as { code?: string }).code === 'ABORT_ERR');
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
