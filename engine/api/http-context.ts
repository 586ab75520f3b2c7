import { type IncomingMessage, type ServerResponse, STATUS_CODES } from 'node:http';
import { Duplex, Readable } from 'node:stream';

import { invalidParameter } from '../errors.ts';
import type { Shape } from '../model/shape.ts';
import { type Context, readJson } from './context.ts';

/** The context of one HTTP exchange. */
export class HttpContext implements Context {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly signal: AbortSignal;
  params: Record<string, string> = {};
  query = new URLSearchParams();
  apiMinor = 0;
  /** The connection was taken over by hijack(): no more HTTP on it. */
  taken = false;
  readonly #upgradeHead: Buffer | undefined;
  #ahead: Buffer | undefined;

  /** @param upgradeHead bytes after the headers of a request with an Upgrade header; undefined for any other */
  constructor(request: IncomingMessage, response: ServerResponse, upgradeHead: Buffer | undefined) {
    this.request = request;
    this.response = response;
    this.#upgradeHead = upgradeHead;
    const gone = new AbortController();
    this.signal = gone.signal;
    const connection = upgradeHead ? request.socket : response;
    connection.on('close', () => {
      if (upgradeHead || !response.writableFinished) gone.abort();
    });
  }

  route(params: Record<string, string>, query: URLSearchParams, apiMinor: number): void {
    this.params = params;
    this.query = query;
    this.apiMinor = apiMinor;
  }

  /** Reads a short JSON body before its handler does, which then gets the same bytes. Undefined for any other body. */
  async readAhead(limit: number): Promise<Buffer | undefined> {
    const { headers } = this.request;
    const length = Number(headers['content-length'] ?? 0);
    if (!/^application\/json/.test(headers['content-type'] ?? '') || length === 0 || length > limit) return undefined;
    const chunks: Buffer[] = [];
    for await (const chunk of this.#body()) chunks.push(chunk);
    this.#ahead = Buffer.concat(chunks);
    return this.#ahead;
  }

  async json<T>(shape: Shape): Promise<T> {
    const value = await this.optionalJson<T>(shape);
    if (value === undefined) throw invalidParameter('invalid JSON: got EOF while reading request body');
    return value;
  }

  async optionalJson<T>(shape: Shape): Promise<T | undefined> {
    const value = await readJson(this.#body());
    if (value === undefined) return undefined;
    // Go reads `null` into a struct as nothing at all.
    return shape.decode(value ?? {}, shape.type) as T;
  }

  /** The body. Node leaves the body of an upgrade request on the connection: it is read by its Content-Length. */
  #body(): AsyncIterable<Buffer> {
    if (this.#ahead) return Readable.from([this.#ahead]);
    if (!this.#upgradeHead) return this.request;
    const length = Number(this.request.headers['content-length'] ?? 0);
    return this.#takeBytes(length);
  }

  async *#takeBytes(length: number): AsyncGenerator<Buffer> {
    const { socket } = this.request;
    let chunk: Buffer = this.#upgradeHead ?? Buffer.alloc(0);
    let missing = length;
    for (;;) {
      const part = chunk.subarray(0, missing);
      missing -= part.length;
      if (part.length > 0) yield part;
      if (missing === 0) {
        if (chunk.length > part.length) socket.unshift(chunk.subarray(part.length));
        return;
      }
      const next = socket.read() as Buffer | null;
      if (next) chunk = next;
      else {
        chunk = Buffer.alloc(0);
        await new Promise<void>((resolve, reject) => {
          const readable = (): void => {
            socket.off('close', closed);
            resolve();
          };
          const closed = (): void => reject(invalidParameter('unexpected end of request body'));
          socket.once('readable', readable).once('close', closed);
        });
      }
    }
  }

  reply(status: number, value: unknown): void {
    const body = Buffer.from(`${JSON.stringify(value)}\n`);
    this.response.writeHead(status, { 'Content-Type': 'application/json', 'Content-Length': body.length });
    this.response.end(this.request.method === 'HEAD' ? undefined : body);
  }

  empty(status: number): void {
    this.response.writeHead(status, status === 204 || status === 304 ? {} : { 'Content-Length': 0 });
    this.response.end();
  }

  stream(contentType: string): ServerResponse {
    this.response.writeHead(200, { 'Content-Type': contentType });
    this.response.flushHeaders();
    return this.response;
  }

  takeOver(): { socket: Duplex; head: Buffer } {
    this.taken = true;
    const { socket } = this.request;
    this.response.detachSocket(socket);
    return { socket, head: this.#upgradeHead ?? Buffer.alloc(0) };
  }

  hijack(contentType: string): Duplex {
    this.taken = true;
    if (!this.#upgradeHead) return this.#plainHijack(contentType);
    const { socket } = this.request;
    this.response.detachSocket(socket);
    const headers = { ...this.response.getHeaders(), 'content-type': contentType };
    const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}`);
    const protocol = this.request.headers.upgrade ?? 'tcp';
    socket.write(
      `HTTP/1.1 101 UPGRADED\r\n${lines.join('\r\n')}\r\nConnection: Upgrade\r\nUpgrade: ${protocol}\r\n\r\n`,
    );
    // A body that nobody read is not input.
    if (this.#upgradeHead.length > 0 && !this.request.headers['content-length']) socket.unshift(this.#upgradeHead);
    socket.setNoDelay(true);
    return socket;
  }

  /** Clients that don't upgrade get the output as the answer's body; their input is the request's body. */
  #plainHijack(contentType: string): Duplex {
    const { response, request } = this;
    response.writeHead(200, STATUS_CODES[200], { 'Content-Type': contentType });
    response.flushHeaders();
    const input = request.readableEnded ? Readable.from([]) : request;
    const pair = Duplex.from({ readable: input, writable: response });
    response.on('close', () => pair.destroy());
    return pair;
  }
}
