import type { EngineAddress, EngineProblem, EngineProblemCode } from '../../contract/engines.ts';
import { TooOld } from './api-version.ts';

/** An engine can't be used, and why. */
export class EngineUnreachable extends Error {
  override readonly name = 'EngineUnreachable';
  readonly problem: EngineProblem;

  constructor(problem: EngineProblem) {
    super(problem.detail);
    this.problem = problem;
  }
}

const BY_CODE: Record<string, EngineProblemCode> = {
  ENOENT: 'no-socket',
  ENOTSOCK: 'no-socket',
  EACCES: 'denied',
  EPERM: 'denied',
  ECONNREFUSED: 'refused',
  ENOTFOUND: 'no-host',
  EAI_AGAIN: 'no-host',
  EHOSTUNREACH: 'no-host',
  ENETUNREACH: 'no-host',
  EADDRNOTAVAIL: 'no-host',
  ETIMEDOUT: 'timeout',
  EPROTO: 'not-tls',
  ERR_SSL_WRONG_VERSION_NUMBER: 'not-tls',
  ERR_SSL_PACKET_LENGTH_TOO_LONG: 'not-tls',
};

/** Codes of OpenSSL's verification, and Node's own for a name that does not fit. */
const UNTRUSTED =
  /^(UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_|CERT_|CRL_|HOSTNAME_MISMATCH|INVALID_CA|INVALID_PURPOSE|ERR_TLS_CERT_ALTNAME)/;
/** The server's word on our certificate. */
const CLIENT_REFUSED = /ALERT_(.*CERTIFICATE|UNKNOWN_CA|HANDSHAKE_FAILURE|ACCESS_DENIED|DECRYPT_ERROR)/;
const RESET = /^(ECONNRESET|EPIPE|ECONNABORTED)$/;

/** What a failed connection, or the first request over it, says about the engine. */
export function problemOf(error: unknown, address: EngineAddress): EngineProblem {
  if (error instanceof EngineUnreachable) return error.problem;
  const { message, name, code: raw, statusCode } = error as NodeJS.ErrnoException & { statusCode?: number };
  const code = raw ?? '';
  const found = (): EngineProblemCode => {
    if (error instanceof TooOld) return 'too-old';
    if (UNTRUSTED.test(code)) return 'server-certificate';
    if (CLIENT_REFUSED.test(code)) return 'client-certificate';
    if (name === 'TimeoutError' || name === 'AbortError') return 'timeout';
    if (RESET.test(code)) return WHEN_CLOSED[address.kind];
    if (/HTTPS server/.test(message)) return 'needs-tls';
    if (statusCode !== undefined || code.startsWith('HPE_') || error instanceof SyntaxError) return 'not-docker';
    return BY_CODE[code] ?? 'closed';
  };
  return problem(found(), address, message || code);
}

/** A server that wants TLS, or another certificate of ours, closes the connection without a word. */
const WHEN_CLOSED: Record<EngineAddress['kind'], EngineProblemCode> = {
  unix: 'closed',
  tcp: 'needs-tls',
  tls: 'client-certificate',
  ssh: 'closed',
};

/** With what the words for it need. */
export function problem(
  code: EngineProblemCode,
  address: EngineAddress,
  detail: string,
  values: Record<string, string> = {},
): EngineProblem {
  const where: Record<string, string> =
    address.kind === 'unix' ? { path: address.path, host: address.path } : { host: `${address.host}:${address.port}` };
  return { code, values: { ...where, ...values }, detail };
}
