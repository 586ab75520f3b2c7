import http from 'node:http';
import https from 'node:https';
import type { Readable } from 'node:stream';

import { cancelled } from '../../errors.ts';

import { PlainAgent, proxyAuthorization, TlsAgent } from './dial.ts';
import { describeNetworkError, RegistryError } from './errors.ts';
import { isInsecure, proxyFor, readCertificates } from './hosts.ts';

export interface TransportOptions {
  readonly insecureRegistries: readonly string[];
  readonly certsDir: string;
  readonly hostLoopback: string | undefined;
  readonly env: Readonly<Record<string, string | undefined>>;
}

export interface Answer {
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  /** Must be read to its end or destroyed. */
  readonly body: http.IncomingMessage;
  /** Where it came from, after redirects. */
  readonly url: URL;
}

export interface RequestOptions {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Buffer | (() => Readable);
  readonly signal: AbortSignal;
}

const USER_AGENT = 'skiff/0.1';
const HEADER_TIMEOUT_MS = 60_000;
const MAX_REDIRECTS = 10;
const REDIRECTS = new Set([301, 302, 303, 307, 308]);

/** HTTP to registries: connections kept and shared, TLS by the host's own certificates, proxies, redirects. */
export class Transport {
  readonly #options: TransportOptions;
  readonly #agents = new Map<string, http.Agent>();

  constructor(options: TransportOptions) {
    this.#options = options;
  }

  /** One request with its redirects. Throws RegistryError when there is no answer; any status is an answer. */
  async request(url: URL, options: RequestOptions): Promise<Answer> {
    let at = url;
    let { headers = {}, method = 'GET', body } = options;
    for (let redirects = 0; redirects <= MAX_REDIRECTS; redirects++) {
      const answer = await this.#once(at, { ...options, method, headers, body });
      const location = answer.headers.location;
      if (!REDIRECTS.has(answer.status) || location === undefined) return answer;
      if (method !== 'GET' && method !== 'HEAD' && answer.status !== 307 && answer.status !== 308) return answer;
      answer.body.resume();
      const next = new URL(location, at);
      // What opens one host is no other host's business.
      if (next.host !== at.host) headers = without(headers, 'authorization');
      if (answer.status === 303) {
        method = 'GET';
        body = undefined;
      }
      at = next;
    }
    throw new RegistryError(`${url}: stopped after ${MAX_REDIRECTS} redirects`, { status: 400 });
  }

  close(): void {
    for (const agent of this.#agents.values()) agent.destroy();
    this.#agents.clear();
  }

  #once(url: URL, options: RequestOptions & { method: string }): Promise<Answer> {
    const { signal, body, method } = options;
    if (signal.aborted) return Promise.reject(cancelled());
    const proxy = proxyFor(url, this.#options.env);
    const plain = url.protocol === 'http:';
    const authorization = plain && proxy ? proxyAuthorization(proxy) : undefined;
    return new Promise((resolve, reject) => {
      const request = (plain ? http : https).request({
        agent: this.#agent(url, proxy),
        host: url.hostname.replace(/^\[|\]$/g, ''),
        port: url.port || (plain ? 80 : 443),
        path: plain && proxy ? url.href : url.pathname + url.search,
        method,
        headers: {
          host: url.host,
          'user-agent': USER_AGENT,
          ...options.headers,
          ...(authorization ? { 'proxy-authorization': authorization } : {}),
          ...(Buffer.isBuffer(body) ? { 'content-length': String(body.length) } : {}),
        },
      });
      const stop = () => request.destroy(cancelled());
      signal.addEventListener('abort', stop, { once: true });
      const timer = setTimeout(() => {
        if (!Buffer.isBuffer(body) && body) return;
        request.destroy(Object.assign(new Error('net/http: timeout awaiting response headers'), { code: 'ETIMEDOUT' }));
      }, HEADER_TIMEOUT_MS);
      request.on('response', (response) => {
        clearTimeout(timer);
        response.once('close', () => signal.removeEventListener('abort', stop));
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body: response, url });
      });
      request.on('error', (error) => {
        clearTimeout(timer);
        signal.removeEventListener('abort', stop);
        reject(signal.aborted ? cancelled() : describeNetworkError(error, method, url.href));
      });
      if (body === undefined || Buffer.isBuffer(body)) request.end(body);
      else {
        const stream = body();
        stream.on('error', (error) => request.destroy(error));
        request.on('close', () => stream.destroy());
        stream.pipe(request);
      }
    });
  }

  #agent(url: URL, proxy: URL | undefined): http.Agent {
    const dialOptions = { hostLoopback: this.#options.hostLoopback, proxy };
    if (url.protocol === 'http:') {
      const key = `http ${proxy?.href ?? ''}`;
      return this.#remember(key, () => new PlainAgent(dialOptions));
    }
    const insecure = isInsecure(url.host, this.#options.insecureRegistries);
    // Certificates are read again for each new agent only: a changed folder counts from the next start on.
    const key = `https ${url.host} ${insecure} ${proxy?.href ?? ''}`;
    return this.#remember(key, () => {
      const { ca, cert, key: privateKey } = readCertificates(this.#options.certsDir, url.host);
      return new TlsAgent(dialOptions, {
        rejectUnauthorized: !insecure,
        ...(ca ? { ca: [...ca] } : {}),
        ...(cert ? { cert } : {}),
        ...(privateKey ? { key: privateKey } : {}),
      });
    });
  }

  #remember(key: string, make: () => http.Agent): http.Agent {
    const known = this.#agents.get(key) ?? make();
    this.#agents.set(key, known);
    return known;
  }
}

const without = (headers: Readonly<Record<string, string>>, name: string): Record<string, string> =>
  Object.fromEntries(Object.entries(headers).filter(([key]) => key.toLowerCase() !== name));

/** Reads a body up to a limit. */
export async function readBody(answer: Answer, limit: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  try {
    for await (const chunk of answer.body as AsyncIterable<Buffer>) {
      size += chunk.length;
      if (size > limit) throw new RegistryError(`${answer.url}: answer is larger than ${limit} bytes`, { status: 400 });
      chunks.push(chunk);
    }
  } catch (error) {
    if (error instanceof RegistryError) throw error;
    throw describeNetworkError(error, 'GET', answer.url.href);
  } finally {
    answer.body.destroy();
  }
  return Buffer.concat(chunks);
}
