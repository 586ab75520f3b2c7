import { type IncomingHttpHeaders, type IncomingMessage, type RequestOptions, request } from 'node:http';

export interface Reply {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
  /** undefined when it isn't JSON. */
  readonly json: unknown;
}

export interface Call {
  /** Sent as JSON unless it is bytes. */
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  /** Endless answers: enough when this many bytes have come. */
  readonly enough?: number;
  /** Leaves when the headers are there: streams without a first byte. */
  readonly headersOnly?: boolean;
}

const LIMIT_MS = 60_000;

/** One request to the engine's socket, body and all. */
export function call(socketPath: string, method: string, path: string, options: Call = {}): Promise<Reply> {
  const { body } = options;
  const bytes = body === undefined || Buffer.isBuffer(body) ? body : Buffer.from(JSON.stringify(body));
  const settings: RequestOptions = {
    socketPath,
    method,
    path,
    agent: false,
    timeout: LIMIT_MS,
    headers: {
      ...(bytes
        ? {
            'Content-Type': Buffer.isBuffer(body) ? 'application/x-tar' : 'application/json',
            'Content-Length': bytes.length,
          }
        : {}),
      ...options.headers,
    },
  };
  return new Promise((resolve, reject) => {
    const outgoing = request(settings);
    outgoing.on('error', reject);
    outgoing.on('timeout', () => outgoing.destroy(new Error(`${method} ${path} took more than ${LIMIT_MS} ms`)));
    outgoing.on('upgrade', (response: IncomingMessage, socket) => {
      socket.destroy();
      resolve(reply(response, Buffer.alloc(0)));
    });
    outgoing.on('response', (response) => {
      const chunks: Buffer[] = [];
      const finish = () => {
        resolve(reply(response, Buffer.concat(chunks)));
        outgoing.destroy();
      };
      if (options.headersOnly) return finish();
      response.on('data', (chunk: Buffer) => {
        chunks.push(chunk);
        if (options.enough !== undefined && Buffer.concat(chunks).length >= options.enough) finish();
      });
      response.on('end', finish);
      response.on('error', () => finish());
    });
    outgoing.end(bytes);
  });
}

function reply(response: IncomingMessage, body: Buffer): Reply {
  let json: unknown;
  try {
    json = JSON.parse(body.toString('utf8'));
  } catch {
    json = undefined;
  }
  return { status: response.statusCode ?? 0, headers: response.headers, body, json };
}
