import { type IncomingMessage, request } from 'node:http';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Transport } from './engine-link.ts';

interface Call {
  query?: Record<string, string | string[] | boolean | undefined>;
  json?: unknown;
  body?: Readable;
  headers?: Record<string, string>;
  signal: AbortSignal;
}

/** An error that the engine answered; `errors.ts` knows its shape. */
class EngineError extends Error {
  readonly statusCode: number;
  readonly json: { message: string };
  constructor(statusCode: number, message: string) {
    super(message);
    this.statusCode = statusCode;
    this.json = { message };
  }
}

/** Requests of the engine's API where bodies and answers are streams; the rest goes through dockerode. */
export class EngineHttp {
  /** of the API, as it was agreed on with the engine */
  version = '1.51';
  #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /** The answer to read; throws when its status is an error's. Paths of our engine's own begin with `/skiff/` and have no version. */
  async open(method: string, path: string, call: Call): Promise<IncomingMessage> {
    const query = new URLSearchParams();
    for (const [name, value] of Object.entries(call.query ?? {})) {
      for (const one of [value].flat()) if (one !== undefined && one !== '') query.append(name, String(one));
    }
    const headers: Record<string, string> = { ...call.headers };
    if (call.json !== undefined) headers['Content-Type'] = 'application/json';
    const versioned = path.startsWith('/skiff/') ? path : `/v${this.version}${path}`;
    const options = { ...this.#transport, method, path: `${versioned}?${query}`, headers, signal: call.signal };
    const outgoing = request(options);
    const answered = new Promise<IncomingMessage>((done, fail) => {
      outgoing.once('response', done);
      outgoing.once('error', fail);
    });
    // An early answer (an error) ends the upload; the answer is what counts then.
    if (call.body) pipeline(call.body, outgoing).catch(() => {});
    else outgoing.end(call.json === undefined ? undefined : JSON.stringify(call.json));
    const answer = await answered;
    if ((answer.statusCode ?? 500) < 400) return answer;
    const body = await readAll(answer);
    throw new EngineError(answer.statusCode ?? 500, messageIn(body));
  }

  async json<T>(method: string, path: string, call: Call): Promise<T> {
    const body = await readAll(await this.open(method, path, call));
    return (body ? JSON.parse(body) : undefined) as T;
  }

  /** Progress as the engine streams it, one JSON document per line; an `error` in it is thrown. */
  async *lines(method: string, path: string, call: Call): AsyncGenerator<ProgressLine> {
    const answer = await this.open(method, path, call);
    let rest = '';
    for await (const chunk of answer.setEncoding('utf8') as AsyncIterable<string>) {
      const lines = (rest + chunk).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) if (line.trim()) yield checked(JSON.parse(line));
    }
    if (rest.trim()) yield checked(JSON.parse(rest));
  }
}

export interface ProgressLine {
  id?: string;
  status?: string;
  stream?: string;
  progressDetail?: { current?: number; total?: number };
  aux?: Record<string, unknown>;
  error?: string;
}

function checked(line: ProgressLine): ProgressLine {
  if (line.error) throw new Error(line.error);
  return line;
}

async function readAll(answer: IncomingMessage): Promise<string> {
  let body = '';
  for await (const chunk of answer.setEncoding('utf8')) body += chunk;
  return body;
}

function messageIn(body: string): string {
  try {
    return JSON.parse(body).message ?? body;
  } catch {
    return body;
  }
}
