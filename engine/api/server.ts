import { createServer, type IncomingMessage, type Server, type ServerOptions, ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { TLSSocket, type TlsOptions } from 'node:tls';

import type { Authorization } from '../daemon/plugins/authorization.ts';
import { isKind, notFound } from '../errors.ts';
import { log } from '../log.ts';
import { holdBack } from './authorized-response.ts';
import { errorBody, statusOf } from './errors.ts';
import { HttpContext } from './http-context.ts';
import { type Route, Router } from './router.ts';
import { API, splitVersion, versionText } from './version.ts';

/** Headers every answer carries, as dockerd's (moby: server/middleware/version.go). */
const standardHeaders = ({ product, experimental = false }: Identity): Record<string, string> => ({
  'Api-Version': versionText(API.max),
  'Docker-Experimental': String(experimental),
  Ostype: 'linux',
  Server: product,
});

/** What the engine says of itself with every answer. */
export interface Identity {
  readonly product: string;
  readonly experimental?: boolean;
}

/** Requests may take as long as they like (attach, events, a build's context), but their headers may not. */
const LIMITS: ServerOptions = { keepAliveTimeout: 60_000, requestTimeout: 0, headersTimeout: 30_000 };

/** Longer bodies are not shown to authorization plugins (moby: maxBodySize of requests). */
const AUTHORIZED_BODY_LIMIT = 1024 * 1024;

/** The Docker Engine API over HTTP: finds the route, runs its handler, turns what it throws into an answer. */
export class ApiServer {
  readonly #router: Router;
  readonly #headers: Record<string, string>;
  readonly #authorization: Authorization | undefined;

  constructor(routes: readonly Route[], identity: Identity, authorization?: Authorization) {
    this.#router = new Router(routes);
    this.#headers = standardHeaders(identity);
    this.#authorization = authorization;
  }

  /** A server ready to listen. */
  create(): Server {
    return this.#serveOn(createServer(LIMITS));
  }

  /** The same behind TLS; with `requestCert` only clients of that authority get in. */
  createTls(options: TlsOptions): Server {
    return this.#serveOn(createTlsServer({ ...LIMITS, ...options }));
  }

  #serveOn<T extends Server>(server: T): T {
    server.on('request', (request, response) => void this.#serve(request, response, undefined));
    // Requests with an Upgrade header leave Node's HTTP handling: attach and exec take the connection over.
    server.on('upgrade', (request: IncomingMessage, socket: Socket, head: Buffer) => {
      socket.on('error', () => socket.destroy());
      const response = new ServerResponse(request);
      response.shouldKeepAlive = false;
      response.assignSocket(socket);
      response.on('finish', () => socket.end());
      void this.#serve(request, response, head);
    });
    server.on('checkContinue', (request, response) => {
      response.writeContinue();
      void this.#serve(request, response, undefined);
    });
    server.on('clientError', (_error, socket: Duplex) => {
      if (socket.writable) socket.end('HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n');
      else socket.destroy();
    });
    return server;
  }

  async #serve(request: IncomingMessage, response: ServerResponse, head: Buffer | undefined): Promise<void> {
    for (const [name, value] of Object.entries(this.#headers)) response.setHeader(name, value);
    const context = new HttpContext(request, response, head);
    try {
      if (this.#authorization?.active) await this.#authorize(this.#authorization, context, head !== undefined);
      const url = new URL(request.url ?? '/', 'http://engine');
      const { path, minor } = splitVersion(url.pathname);
      const match = this.#router.match(request.method ?? 'GET', path);
      if (match.kind !== 'found') throw notFound('page not found');
      context.route(match.params, url.searchParams, minor);
      await match.handler(context);
    } catch (error) {
      this.#fail(context, request, error);
    }
  }

  /** An upgraded connection's answer isn't one that plugins could read: they decide by the request. */
  async #authorize(authorization: Authorization, context: HttpContext, upgrades: boolean): Promise<void> {
    const { request, response } = context;
    const certificate = request.socket instanceof TLSSocket ? request.socket.getPeerCertificate() : undefined;
    const asked = {
      method: request.method ?? 'GET',
      uri: request.url ?? '/',
      headers: Object.fromEntries(Object.entries(request.headers).map(([name, value]) => [name, String(value)])),
      body: await context.readAhead(AUTHORIZED_BODY_LIMIT),
      user: String(certificate?.subject?.CN ?? ''),
    };
    await authorization.checkRequest(asked);
    if (upgrades) return;
    holdBack(response, {
      check: (status, headers, body) => authorization.checkResponse(asked, { status, headers, body }),
      refuse: (error) => context.reply(statusOf(error), errorBody(error)),
    });
  }

  #fail(context: HttpContext, request: IncomingMessage, error: unknown): void {
    if (context.signal.aborted) return;
    const status = statusOf(error);
    if (status >= 500) {
      log.error('request failed', { method: request.method, path: request.url, error: error as Error });
      if (!(error instanceof Error) || !('kind' in error)) log.debug(String((error as Error)?.stack));
    }
    if (context.taken) return;
    const { response } = context;
    if (response.headersSent) {
      // Too late for a status: JSON streams carry their errors in themselves; anything else just ends.
      response.destroy();
      return;
    }
    if (isKind(error, 'notModified')) context.empty(304);
    else context.reply(status, errorBody(error));
  }
}
