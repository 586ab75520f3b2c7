import { performance } from 'node:perf_hooks';
import type { Implementation } from '../../contract/contract.ts';
import type { EngineAddress, EngineList, EngineTest } from '../../contract/engines.ts';
import type { Opened } from '../../rpc/server.ts';
import { EngineLink } from '../engine-link.ts';
import { type EngineServices, engineServices } from '../engine-services.ts';
import { engineInfo } from '../rows.ts';
import type { TaskKeeper } from '../tasks.ts';
import { Topic } from '../topic.ts';
import { asDockerHost, checkedAddress } from './address.ts';
import { negotiated } from './api-version.ts';
import { dockerEngines } from './docker-engines.ts';
import { type EnginesFile, OWN_ENGINE } from './engines-file.ts';
import { problemOf } from './problem.ts';
import { openRoute, RouteAgent } from './route.ts';

/** An engine nobody has looked at for so long is left. */
const LEAVE_MS = 5_000;
const TEST_MS = 40_000;

/** What is asked of Skiff itself, whatever engine is looked at. */
export type SharedServices = Omit<Implementation, keyof EngineServices>;

interface Connected {
  link: EngineLink;
  services: Implementation;
  holders: number;
  leaving: NodeJS.Timeout | undefined;
}

/**
 * The services over each engine that somebody looks at. What belongs to one engine hangs on one link; asking another engine is
 * asking another object. A link is made when the engine is first asked, and closed when nobody asks it any more and no task
 * works on it.
 */
export class Engines {
  readonly #file: EnginesFile;
  readonly #tasks: TaskKeeper;
  readonly #ownSocket: string;
  readonly #list = new Topic<EngineList>(4, (queue) => queue.slice(-1));
  readonly #connected = new Map<string, Connected>();
  #shared = {} as SharedServices;
  #own: Implementation | undefined;

  constructor(file: EnginesFile, tasks: TaskKeeper, ownSocket: string) {
    this.#file = file;
    this.#tasks = tasks;
    this.#ownSocket = ownSocket;
  }

  begin(shared: SharedServices, own: EngineServices): void {
    this.#shared = shared;
    this.#own = { ...shared, ...own };
  }

  /** The services over this engine, for one who asks. Throws ServiceError 'not-found'. */
  open(id: string | undefined): Opened {
    if (id === undefined || id === OWN_ENGINE) return { services: this.#own as Implementation, done: () => {} };
    const connected = this.#connected.get(id) ?? this.#connect(id, this.#file.get(id));
    return { services: connected.services, done: this.#hold(id, connected) };
  }

  close(): void {
    for (const [id, connected] of this.#connected) this.#leave(id, connected);
  }

  services(): Implementation['engines'] {
    const file = this.#file;
    const changed = () => this.#list.publish(file.list);
    return {
      watch: (signal) => this.#list.read(signal, file.list),
      add: async (wish) => {
        const id = await file.add(wish);
        changed();
        return id;
      },
      edit: async (id, wish) => {
        const before = JSON.stringify(file.get(id).address);
        await file.edit(id, wish);
        if (JSON.stringify(file.get(id).address) !== before) this.#drop(id);
        changed();
      },
      remove: async (id) => {
        await file.remove(id);
        this.#drop(id);
        changed();
      },
      test: (address, signal) => test(checkedAddress(address), signal),
      choose: async (id) => {
        await file.choose(id);
        changed();
      },
      found: async () => {
        const taken = new Set([`unix://${this.#ownSocket}`]);
        for (const { address } of file.list.engines) if (address) taken.add(asDockerHost(address));
        const found = await dockerEngines();
        return found.filter(({ address }) => !taken.has(asDockerHost(address)) && !ownPipe(address, this.#ownSocket));
      },
    };
  }

  #connect(id: string, { name, address }: { name: string; address: EngineAddress }): Connected {
    const link = linkTo(address);
    const connected: Connected = { link, services: {} as Implementation, holders: 0, leaving: undefined };
    const tasks = this.#tasks.on({ id, name }, () => this.#hold(id, connected));
    connected.services = { ...this.#shared, ...engineServices(link, tasks) };
    this.#connected.set(id, connected);
    link.follow();
    return connected;
  }

  #hold(id: string, connected: Connected): () => void {
    connected.holders++;
    clearTimeout(connected.leaving);
    return () => {
      connected.holders--;
      if (connected.holders > 0) return;
      connected.leaving = setTimeout(() => this.#leave(id, connected), LEAVE_MS).unref();
    };
  }

  #drop(id: string): void {
    const connected = this.#connected.get(id);
    if (connected) this.#leave(id, connected);
  }

  #leave(id: string, connected: Connected): void {
    clearTimeout(connected.leaving);
    if (this.#connected.get(id) === connected) this.#connected.delete(id);
    connected.link.close();
  }
}

/** To an engine that is not in our machine. Closing it closes its connections. */
function linkTo(address: EngineAddress): EngineLink {
  const route = openRoute(address);
  const agent = new RouteAgent(route);
  const reset = () => {
    agent.destroy();
    route.reset();
  };
  const link = new EngineLink({ agent }, { problemOf: (error) => problemOf(error, address), reset });
  link.closed.addEventListener('abort', reset, { once: true });
  return link;
}

async function test(address: EngineAddress, signal: AbortSignal): Promise<EngineTest> {
  const link = linkTo(address);
  const limit = AbortSignal.any([signal, AbortSignal.timeout(TEST_MS)]);
  try {
    const begin = performance.now();
    const version = await negotiated(link, limit);
    const milliseconds = performance.now() - begin;
    const info = engineInfo(await link.info(limit), version);
    const system = `${info.name}, ${info.operatingSystem}, ${info.architecture}`;
    return { ok: true, version: info.serverVersion, apiVersion: info.apiVersion, system, milliseconds };
  } catch (error) {
    return { ok: false, problem: problemOf(error, address) };
  } finally {
    link.close();
  }
}

/** On Windows our own context names our pipe. */
function ownPipe(address: EngineAddress, ownSocket: string): boolean {
  return address.kind === 'unix' && address.path.replaceAll('/', '\\') === ownSocket.replaceAll('/', '\\');
}
