import { randomBytes, timingSafeEqual } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { WebSocketServer } from 'ws';
import type { AppPort } from '../contract/protocol.ts';
import { pageHeaders, readPage } from '../services/page.ts';
import { webSocketPort } from './socket-port.ts';

/** A link that nobody followed for so long is dead. */
const TOKEN_LIFE_MS = 15 * 60_000;
const LONGEST_MESSAGE = 16 * 1024 * 1024;

export interface WebServerOptions {
  /** the built window */
  pageDir: string;
  /** answers a window that has shown its cookie */
  serve: (port: AppPort) => void;
}

/**
 * Serves the window to a browser on this computer. Other web pages in that browser are the adversary: the server listens on
 * loopback only, checks Host (DNS rebinding) and Origin, and wants a cookie that is given only for a token, which is good once.
 */
export class WebServer {
  #options: WebServerOptions;
  #server: Server;
  #sockets = new WebSocketServer({ noServer: true, maxPayload: LONGEST_MESSAGE });
  #tokens = new Map<string, number>();
  #sessions = new Set<string>();
  #port = 0;

  static async open(options: WebServerOptions): Promise<WebServer> {
    const web = new WebServer(options);
    web.#server.listen(0, '127.0.0.1');
    await once(web.#server, 'listening');
    web.#port = (web.#server.address() as AddressInfo).port;
    return web;
  }

  private constructor(options: WebServerOptions) {
    this.#options = options;
    this.#server = createServer((request, response) => {
      this.#answer(request, response).catch(() => response.destroy());
    });
    this.#server.on('upgrade', (request, socket, head) => this.#upgrade(request, socket, head));
  }

  /** A new link for one visit. */
  link(): string {
    const token = randomBytes(24).toString('base64url');
    this.#tokens.set(token, Date.now() + TOKEN_LIFE_MS);
    return `http://127.0.0.1:${this.#port}/?token=${token}`;
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets.clients) socket.terminate();
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (!this.#hostIsOurs(request)) return end(response, 421, 'Wrong host.');
    if (request.method !== 'GET' && request.method !== 'HEAD') return end(response, 405, 'Only GET.');
    const url = new URL(request.url ?? '/', 'http://127.0.0.1');
    const token = url.searchParams.get('token');
    if (token !== null) return this.#welcome(token, request, response);
    if (!this.#hasSession(request)) return end(response, 401, NO_SESSION);
    const page = await readPage(this.#options.pageDir, url.pathname);
    response.writeHead(page.status, page.headers).end(page.body);
  }

  /** The token leaves the address bar at once: it is worth nothing any more, and does not stay in the history. */
  #welcome(token: string, request: IncomingMessage, response: ServerResponse): void {
    const life = this.#tokens.get(token);
    this.#tokens.delete(token);
    const good = life !== undefined && life > Date.now();
    if (!good && !this.#hasSession(request)) {
      end(response, 401, NO_SESSION);
      return;
    }
    const headers: Record<string, string> = { ...pageHeaders(), Location: '/', 'Cache-Control': 'no-store' };
    if (good) {
      const session = randomBytes(24).toString('base64url');
      this.#sessions.add(session);
      headers['Set-Cookie'] = `${this.#cookieName}=${session}; HttpOnly; SameSite=Strict; Path=/`;
    }
    response.writeHead(303, headers).end();
  }

  #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const allowed =
      request.url === '/contract' &&
      this.#hostIsOurs(request) &&
      request.headers.origin === `http://${request.headers.host}` &&
      this.#hasSession(request);
    if (!allowed) {
      socket.end('HTTP/1.1 403 Forbidden\r\nConnection: close\r\n\r\n');
      return;
    }
    this.#sockets.handleUpgrade(request, socket, head, (webSocket) => {
      this.#options.serve(webSocketPort(webSocket));
    });
  }

  /** Cookies do not know ports: two apps on one computer must not take each other's. */
  get #cookieName(): string {
    return `skiff_${this.#port}`;
  }

  #hostIsOurs(request: IncomingMessage): boolean {
    const { host } = request.headers;
    return host === `127.0.0.1:${this.#port}` || host === `localhost:${this.#port}`;
  }

  #hasSession(request: IncomingMessage): boolean {
    const prefix = `${this.#cookieName}=`;
    const cookies = (request.headers.cookie ?? '').split('; ').filter((cookie) => cookie.startsWith(prefix));
    return cookies.some((cookie) => [...this.#sessions].some((session) => same(cookie.slice(prefix.length), session)));
  }
}

const NO_SESSION =
  'This link was used before or is too old. Ask for a new one: run "npm start" or "skiff open" again.\n';

function end(response: ServerResponse, status: number, text: string): void {
  response.writeHead(status, { ...pageHeaders(), 'Content-Type': 'text/plain; charset=utf-8' }).end(text);
}

function same(a: string, b: string): boolean {
  return a.length === b.length && timingSafeEqual(Buffer.from(a), Buffer.from(b));
}
