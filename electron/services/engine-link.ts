import { setTimeout as sleep } from 'node:timers/promises';
import Dockerode from 'dockerode';
import type { EngineNews } from '../contract/engine.ts';
import type { EngineState } from '../contract/state.ts';
import type { Machine } from '../machine/types.ts';
import { EngineHttp } from './engine-http.ts';
import { ServiceError } from './errors.ts';
import { engineEvent } from './rows.ts';
import { Topic } from './topic.ts';

/** A reader that falls this far behind is better off fetching everything again. */
const MOST_NEWS = 1_000;

/**
 * The services' own client of the engine, through the local socket like everybody's, and the one subscription to its events.
 * It connects only while the machine is up: a connection to a stopped one would wake it.
 */
export class EngineLink {
  readonly docker: Dockerode;
  readonly http: EngineHttp;
  readonly news = new Topic<EngineNews>(MOST_NEWS, () => [{ kind: 'resync' }]);
  #state: EngineState = { kind: 'off' };
  #onState: (state: EngineState) => void;
  #following: AbortController | undefined;
  #unsubscribe: () => void;

  constructor(machine: Pick<Machine, 'state' | 'onState'>, socketPath: string, onState: (state: EngineState) => void) {
    this.docker = new Dockerode({ socketPath });
    this.http = new EngineHttp(socketPath);
    this.#onState = onState;
    const look = () => {
      const { kind } = machine.state;
      if (kind === 'running' || kind === 'degraded') this.#follow();
      else this.#leave();
    };
    this.#unsubscribe = machine.onState(look);
    look();
  }

  get state(): EngineState {
    return this.#state;
  }

  /**
   * The signal for one request: fires with the asker's, and when the machine goes down, since a request that still waits
   * then would wake it. Throws ServiceError 'unavailable' when the machine is down already: a window that looks wakes nothing.
   */
  whileUp(signal: AbortSignal): AbortSignal {
    if (!this.#following) throw new ServiceError('unavailable', 'The machine is not running.', 'Start it first.');
    return AbortSignal.any([signal, this.#following.signal]);
  }

  version(abortSignal: AbortSignal): Promise<{ Version: string; ApiVersion: string }> {
    return call(this.docker.version, this.docker, abortSignal);
  }

  info(abortSignal: AbortSignal): Promise<Record<string, unknown>> {
    return call(this.docker.info, this.docker, abortSignal);
  }

  ping(abortSignal: AbortSignal): Promise<unknown> {
    return call(this.docker.ping, this.docker, abortSignal);
  }

  close(): void {
    this.#unsubscribe();
    this.#leave();
  }

  #set(state: EngineState): void {
    this.#state = state;
    this.#onState(state);
  }

  #leave(): void {
    this.#following?.abort();
    this.#following = undefined;
    if (this.#state.kind !== 'off') this.#set({ kind: 'off' });
  }

  #follow(): void {
    if (this.#following) return;
    this.#following = new AbortController();
    void this.#keepFollowing(this.#following.signal);
  }

  async #keepFollowing(signal: AbortSignal): Promise<void> {
    let reason: string | undefined;
    for (let pause = 100; !signal.aborted; pause = Math.min(pause * 2, 2_000)) {
      this.#set({ kind: 'waiting', reason });
      try {
        const version = await this.version(signal);
        const events = await this.docker.getEvents({ abortSignal: signal });
        if (signal.aborted) return;
        this.#set({ kind: 'ready', version: version.Version, apiVersion: version.ApiVersion, since: Date.now() });
        this.news.publish({ kind: 'resync' });
        pause = 100;
        await this.#read(events as AsyncIterable<Buffer>);
        reason = 'the engine ended its event stream';
      } catch (error) {
        reason = (error as Error).message;
      }
      if (!signal.aborted) await sleep(pause, undefined, { signal }).catch(() => {});
    }
  }

  /** One JSON document per line. */
  async #read(events: AsyncIterable<Buffer>): Promise<void> {
    const decoder = new TextDecoder();
    let rest = '';
    for await (const data of events) {
      const lines = (rest + decoder.decode(data, { stream: true })).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) {
        if (!line.trim()) continue;
        const event = engineEvent(JSON.parse(line));
        if (event) this.news.publish({ kind: 'event', event });
      }
    }
  }
}

/** dockerode takes a signal for these as well; its types do not say so. */
function call<T>(method: unknown, docker: Dockerode, abortSignal: AbortSignal): Promise<T> {
  return (method as (options: { abortSignal: AbortSignal }) => Promise<T>).call(docker, { abortSignal });
}
