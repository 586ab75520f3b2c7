import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import http, { type IncomingMessage, type ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';

import { type Context, readJson } from '../../engine/api/context.ts';
import { errorBody, statusOf } from '../../engine/api/errors.ts';
import { imageRoutes } from '../../engine/api/images.ts';
import { Router } from '../../engine/api/router.ts';
import { type ImageEvent, type ImageSettings, Images } from '../../engine/daemon/images/images.ts';
import { Snapshots, type SnapshotsOptions } from '../../engine/snapshots/snapshots.ts';
import { blobSchema } from '../../engine/store/blobs.ts';
import { openDatabase } from '../../engine/store/database.ts';
import { imageSchema } from '../../engine/store/images.ts';
import { layerSchema } from '../../engine/store/layers.ts';

/** The image half of an engine behind a unix socket, for the docker CLI and for direct calls. */
export interface TestEngine extends AsyncDisposable {
  readonly root: string;
  /** For `docker -H`. */
  readonly host: string;
  readonly images: Images;
  readonly snapshots: Snapshots;
  readonly events: ImageEvent[];
  readonly containers: { id: string; running: boolean; imageId: string }[];
}

export interface TestEngineOptions {
  readonly root?: string;
  readonly settings?: ImageSettings;
  readonly snapshots?: Partial<SnapshotsOptions>;
  /** Leaves the data root when the engine ends. */
  readonly keep?: boolean;
}

export async function startEngine(options: TestEngineOptions = {}): Promise<TestEngine> {
  const folder = mkdtempSync(`${tmpdir()}/skiff-images-`);
  const root = options.root ?? `${folder}/root`;
  mkdirSync(root, { recursive: true });
  const db = openDatabase(`${root}/state.db`, [layerSchema, blobSchema, imageSchema]);
  const snapshots = new Snapshots({ root, db, ...options.snapshots });
  const events: ImageEvent[] = [];
  const containers: TestEngine['containers'] = [];
  const images = new Images({
    root,
    db,
    snapshots,
    users: { containersUsing: (id) => containers.filter(({ imageId }) => imageId === id) },
    events: (event) => events.push(event),
    settings: { env: {}, retryDelayMs: 10, ...options.settings },
  });
  const router = new Router(imageRoutes(images));
  const server = http.createServer((request, response) => void serve(router, request, response));
  const socket = `${folder}/docker.sock`;
  await new Promise<void>((resolve) => server.listen(socket, resolve));
  return {
    root,
    host: `unix://${socket}`,
    images,
    snapshots,
    events,
    containers,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      images.close();
      await snapshots.settled();
      await snapshots.close();
      db.close();
      rmSync(options.keep ? socket : folder, { recursive: true, force: true });
    },
  };
}

async function serve(router: Router, request: IncomingMessage, response: ServerResponse): Promise<void> {
  response.setHeader('Api-Version', '1.51');
  response.setHeader('Ostype', 'linux');
  const url = new URL(request.url ?? '/', 'http://localhost');
  const [, minor, path = url.pathname] = /^\/v1\.(\d+)(\/.*)$/.exec(url.pathname) ?? [];
  if (path === '/_ping') {
    response.end('OK');
    return;
  }
  const match = router.match(request.method ?? 'GET', path);
  try {
    if (match.kind !== 'found') {
      response.writeHead(404, { 'content-type': 'application/json' }).end('{"message":"page not found"}');
      return;
    }
    await match.handler(contextOf(request, response, url, match.params, Number(minor ?? 51)));
  } catch (error) {
    if (response.headersSent) response.destroy();
    else
      response.writeHead(statusOf(error), { 'content-type': 'application/json' }).end(JSON.stringify(errorBody(error)));
  }
}

function contextOf(
  request: IncomingMessage,
  response: ServerResponse,
  url: URL,
  params: Record<string, string>,
  apiMinor: number,
): Context {
  const controller = new AbortController();
  response.once('close', () => {
    if (!response.writableFinished) controller.abort();
  });
  const json = async <T>() => (await readJson(request)) as T;
  return {
    params,
    query: url.searchParams,
    apiMinor,
    signal: controller.signal,
    request,
    response,
    json,
    optionalJson: json,
    reply(status, value) {
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value));
    },
    empty(status) {
      response.writeHead(status).end();
    },
    stream(contentType) {
      response.writeHead(200, { 'content-type': contentType });
      response.flushHeaders();
      return response;
    },
    takeOver: () => {
      throw new Error('not a connection');
    },
    hijack() {
      throw new Error('not used by image routes');
    },
  };
}
