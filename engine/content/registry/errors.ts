/** A registry's refusal (distribution spec, "Error codes"), or a transport failure (code ''). */
export class RegistryError extends Error {
  override readonly name = 'RegistryError';
  /** HTTP status; 0 when there was no answer. */
  readonly status: number;
  /** `MANIFEST_UNKNOWN`, `DENIED`, …; '' when the answer named none. */
  readonly code: string;
  /** Seconds the registry asks to wait. */
  readonly retryAfter: number | undefined;

  constructor(
    message: string,
    options: { status?: number; code?: string; retryAfter?: number | undefined; cause?: unknown } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.status = options.status ?? 0;
    this.code = options.code ?? '';
    this.retryAfter = options.retryAfter;
  }

  /** Worth another try: no answer, too many requests, or a server's passing trouble. */
  get temporary(): boolean {
    return this.status === 0 || this.status === 408 || this.status === 429 || this.status >= 500;
  }
}

/** The words of an error answer, as Docker prints them: `manifest unknown: manifest unknown`. */
export function errorFromAnswer(
  status: number,
  headers: Readonly<Record<string, string | string[] | undefined>>,
  body: string,
  what: string,
): RegistryError {
  const retryAfter = parseRetryAfter(headers['retry-after']);
  const known = parseBody(body);
  if (known) return new RegistryError(known.message, { status, code: known.code, retryAfter });
  if (status === 429)
    return new RegistryError('toomanyrequests: too many requests', { status, code: 'TOOMANYREQUESTS', retryAfter });
  if (status === 401)
    return new RegistryError('unauthorized: authentication required', { status, code: 'UNAUTHORIZED' });
  if (status === 403)
    return new RegistryError('denied: requested access to the resource is denied', { status, code: 'DENIED' });
  return new RegistryError(`received unexpected HTTP status: ${status} for ${what}`, { status, retryAfter });
}

function parseBody(body: string): { code: string; message: string } | undefined {
  try {
    const { errors, details } = JSON.parse(body) as {
      errors?: { code?: string; message?: string; detail?: unknown }[];
      details?: unknown;
    };
    const first = errors?.[0];
    if (first?.code) {
      const words = first.code.toLowerCase().replaceAll('_', ' ');
      return { code: first.code, message: `${words}: ${first.message || words}` };
    }
    if (typeof details === 'string') return { code: '', message: details };
  } catch {
    // Not the specification's JSON: the status has to do.
  }
  return undefined;
}

function parseRetryAfter(value: string | string[] | undefined): number | undefined {
  if (typeof value !== 'string') return undefined;
  if (/^\d+$/.test(value)) return Number(value);
  const at = Date.parse(value);
  return Number.isNaN(at) ? undefined : Math.max(0, (at - Date.now()) / 1000);
}

/** Node's network errors in the words of Go's net package, which people (and their scripts) know from Docker. */
export function describeNetworkError(error: unknown, method: string, url: string): RegistryError {
  const verb = method.charAt(0) + method.slice(1).toLowerCase();
  return new RegistryError(`${verb} ${JSON.stringify(url)}: ${networkWords(error)}`, { cause: error });
}

function networkWords(error: unknown): string {
  const { code, address, port, hostname, message, errors } = error as NodeJS.ErrnoException & {
    address?: string;
    port?: number;
    hostname?: string;
    errors?: unknown[];
  };
  const first = Array.isArray(errors) ? errors.at(-1) : undefined;
  if (first) return networkWords(first);
  const at = address === undefined ? '' : ` ${address.includes(':') ? `[${address}]` : address}:${port}`;
  switch (code) {
    case 'ECONNREFUSED':
      return `dial tcp${at}: connect: connection refused`;
    case 'ENOTFOUND':
      return `dial tcp: lookup ${hostname}: no such host`;
    case 'EAI_AGAIN':
      return `dial tcp: lookup ${hostname}: Temporary failure in name resolution`;
    case 'EHOSTUNREACH':
      return `dial tcp${at}: connect: no route to host`;
    case 'ENETUNREACH':
      return `dial tcp${at}: connect: network is unreachable`;
    case 'ETIMEDOUT':
      return `dial tcp${at}: i/o timeout`;
    case 'ECONNRESET':
      return 'read: connection reset by peer';
    case 'DEPTH_ZERO_SELF_SIGNED_CERT':
    case 'SELF_SIGNED_CERT_IN_CHAIN':
    case 'UNABLE_TO_VERIFY_LEAF_SIGNATURE':
    case 'UNABLE_TO_GET_ISSUER_CERT_LOCALLY':
    case 'UNABLE_TO_GET_ISSUER_CERT':
      return 'tls: failed to verify certificate: x509: certificate signed by unknown authority';
    case 'CERT_HAS_EXPIRED':
      return 'tls: failed to verify certificate: x509: certificate has expired or is not yet valid';
    case 'ERR_TLS_CERT_ALTNAME_INVALID':
      return `tls: failed to verify certificate: x509: ${message}`;
    default:
      if (/wrong version number|packet length too long|http request/i.test(message ?? '')) {
        return 'http: server gave HTTP response to HTTPS client';
      }
      return message || String(error);
  }
}
