/**
 * A stand-in for the engine, for tests of the window only: the few routes of the Docker API that the window uses, over
 * containers that exist nowhere. The same tests run on the real engine when they are given its socket.
 */
import { rmSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';

interface FakeContainer {
  id: string;
  name: string;
  image: string;
  running: boolean;
  project?: string;
  service?: string;
  ports?: [number, number][];
  createdAt: number;
  statusText?: string;
}

const hex = (n: number) => n.toString(16).padStart(4, '0').repeat(16);

export class FakeEngine {
  readonly socketPath: string;
  containers: FakeContainer[] = [];
  images: { id: string; tags: string[]; size: number; createdAt: number }[] = [];
  /** text of every container's log */
  log: [stream: 1 | 2, text: string][] = [[1, 'hello\n']];
  /** paths of the requests that came, without the version */
  requests: string[] = [];
  #server: Server;
  #events = new Set<ServerResponse>();
  #logs = new Set<ServerResponse>();
  #next = 1;

  static async open(socketPath: string): Promise<FakeEngine> {
    const engine = new FakeEngine(socketPath);
    rmSync(socketPath, { force: true });
    await new Promise<void>((done) => engine.#server.listen(socketPath, done));
    return engine;
  }

  private constructor(socketPath: string) {
    this.socketPath = socketPath;
    this.#server = createServer((request, response) => this.#answer(request, response));
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((done) => this.#server.close(done));
  }

  add(container: Partial<FakeContainer> & { name: string }): FakeContainer {
    const full = {
      id: hex(this.#next++),
      image: 'nginx:latest',
      running: true,
      createdAt: Date.now() / 1000,
      ...container,
    };
    this.containers.push(full);
    this.emit('container', full.running ? 'start' : 'create', full.id, full.name);
    return full;
  }

  addImage(tag: string, size = 50_000_000, age = 86_400): void {
    const id = `sha256:${hex(0x8000 + this.#next++)}`;
    this.images.push({ id, tags: tag ? [tag] : [], size, createdAt: Date.now() / 1000 - age });
    this.emit('image', 'pull', id, tag);
  }

  emit(type: string, action: string, id: string, name: string): void {
    const event = { Type: type, Action: action, Actor: { ID: id, Attributes: { name } }, time: Date.now() / 1000 };
    for (const response of this.#events) response.write(`${JSON.stringify(event)}\n`);
  }

  /** A line appears in the logs that are followed now. */
  write(text: string): void {
    for (const response of this.#logs) response.write(frame(1, text));
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const url = new URL(request.url ?? '', 'http://engine');
    const path = url.pathname.replace(/^\/v[\d.]+/, '');
    this.requests.push(`${request.method} ${path}`);
    const json = (body: unknown, status = 200) => {
      response.writeHead(status, { 'Content-Type': 'application/json' }).end(JSON.stringify(body));
    };
    const [, id = '', verb = ''] = /^\/containers\/([^/]+)(?:\/(\w+))?$/.exec(path) ?? [];
    const found = this.containers.find((container) => container.id === id);
    if (path === '/_ping') response.end('OK');
    else if (path === '/version') json({ Version: '0.1.0', ApiVersion: '1.51' });
    else if (path === '/info') json({ Name: 'fake', NCPU: 2, MemTotal: 1e9, Containers: this.containers.length });
    else if (path === '/events') this.#follow(this.#events, response);
    else if (path === '/containers/json') json(this.containers.map(listed));
    else if (path === '/networks' || path === '/skiff/builds') json([]);
    else if (path === '/system/df') json({ Volumes: [], BuildCache: [] });
    else if (path === '/images/json') json(this.images.map(listedImage));
    else if (path.startsWith('/images/')) this.#removeImage(decodeURIComponent(path.slice(8)), json);
    else if (!found) json({ message: `No such container: ${id}` }, 404);
    else if (verb === 'stats') json({ read: '0001-01-01T00:00:00Z' });
    else if (verb === 'json') json({ Id: found.id, Config: { Tty: false } });
    else if (verb === 'logs') this.#sendLog(response, found);
    else this.#change(found, verb || 'remove', response);
  }

  #removeImage(reference: string, json: (body: unknown, status?: number) => void): void {
    const image = this.images.find((one) => one.id === reference || one.tags.includes(reference));
    if (!image) {
      json({ message: `No such image: ${reference}` }, 404);
      return;
    }
    if (this.containers.some((container) => image.tags.includes(container.image))) {
      json({ message: `conflict: unable to remove repository reference "${reference}" (must force)` }, 409);
      return;
    }
    this.images = this.images.filter((one) => one !== image);
    this.emit('image', 'delete', image.id, reference);
    json([{ Deleted: image.id }]);
  }

  #change(container: FakeContainer, verb: string, response: ServerResponse): void {
    if (verb === 'remove') this.containers = this.containers.filter((one) => one !== container);
    else container.running = verb !== 'stop';
    response.writeHead(204).end();
    this.emit(
      'container',
      verb === 'remove' ? 'destroy' : verb === 'stop' ? 'die' : verb,
      container.id,
      container.name,
    );
  }

  #sendLog(response: ServerResponse, container: FakeContainer): void {
    response.writeHead(200, { 'Content-Type': 'application/vnd.docker.multiplexed-stream' });
    for (const [stream, text] of this.log) response.write(frame(stream, text));
    if (container.running) this.#follow(this.#logs, response);
    else response.end();
  }

  #follow(set: Set<ServerResponse>, response: ServerResponse): void {
    set.add(response);
    response.flushHeaders();
    response.on('close', () => set.delete(response));
  }
}

function frame(stream: 1 | 2, text: string): Buffer {
  const data = Buffer.from(text);
  const head = Buffer.alloc(8);
  head[0] = stream;
  head.writeUInt32BE(data.length, 4);
  return Buffer.concat([head, data]);
}

function listed(container: FakeContainer): object {
  const labels: Record<string, string> = {};
  if (container.project) labels['com.docker.compose.project'] = container.project;
  if (container.service) labels['com.docker.compose.service'] = container.service;
  return {
    Id: container.id,
    Names: [`/${container.name}`],
    Image: container.image,
    ImageID: 'sha256:0',
    Command: 'run',
    Created: Math.round(container.createdAt),
    Ports: (container.ports ?? []).map(([host, inside]) => ({
      IP: '0.0.0.0',
      PrivatePort: inside,
      PublicPort: host,
      Type: 'tcp',
    })),
    Labels: labels,
    State: container.running ? 'running' : 'exited',
    Status: container.statusText ?? (container.running ? 'Up 5 minutes' : 'Exited (0) 2 minutes ago'),
  };
}

function listedImage(image: FakeEngine['images'][number]): object {
  return {
    Id: image.id,
    RepoTags: image.tags,
    Created: Math.round(image.createdAt),
    Size: image.size,
    SharedSize: -1,
    Containers: -1,
  };
}
