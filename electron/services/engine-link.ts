import type { Agent } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import Dockerode from 'dockerode';
import type { EngineNews } from '../contract/engine.ts';
import type { EngineProblem, EngineProblemCode } from '../contract/engines.ts';
import type { EngineState } from '../contract/state.ts';
import { EngineHttp } from './engine-http.ts';
import { negotiated } from './engines/api-version.ts';
import { ServiceError } from './errors.ts';
import { engineEvent } from './rows.ts';
import { Topic } from './topic.ts';

/** A reader that falls this far behind is better off fetching everything again. */
const MOST_NEWS = 1_000;
const FIRST_PAUSE_MS = 100;
/** A remote one has to log in first. */
const ANSWER_MS = 40_000;
const PULSE_MS = 20_000;
const PULSE_ANSWER_MS = 15_000;
/** Logins that fail again and again lock people out of their hosts. */
const PATIENT: readonly EngineProblemCode[] = ['ssh-login', 'ssh-unknown-host', 'ssh-changed-host'];

/** How Node's HTTP client reaches an engine. */
export type Transport = { socketPath: string } | { agent: Agent };

/** An engine that is not in our machine: what a failure says about it, and how its connections are dropped. */
export interface Remote {
  problemOf(error: unknown): EngineProblem;
  reset(): void;
}

/**
 * The services' client of one engine, and the one subscription to its events. It connects while it is told to follow: to the
 * engine in the machine only while the machine is up, since a connection to a stopped one would wake it.
 */
export class EngineLink {
  readonly docker: Dockerode;
  readonly http: EngineHttp;
  readonly news = new Topic<EngineNews>(MOST_NEWS, () => [{ kind: 'resync' }]);
  readonly states = new Topic<EngineState>(8, (queue) => queue.slice(-1));
  /** fires when it is used no more */
  readonly closed: AbortSignal;
  #close = new AbortController();
  #state: EngineState = { kind: 'off' };
  #remote: Remote | undefined;
  #following: AbortController | undefined;
  #again = new AbortController();

  constructor(transport: Transport, remote?: Remote) {
    // The names are for the agent, which goes its own way.
    const modem =
      'agent' in transport ? { protocol: 'http' as const, host: 'docker', port: 80, ...transport } : transport;
    this.docker = new Dockerode(modem);
    this.http = new EngineHttp(transport);
    this.#remote = remote;
    this.closed = this.#close.signal;
  }

  get state(): EngineState {
    return this.#state;
  }

  /**
   * The signal for one request: fires with the asker's, and when the engine is left, since a request that still waits then would
   * wake the machine. Throws ServiceError 'unavailable' when there is no engine to ask: a window that looks wakes nothing.
   */
  whileUp(signal: AbortSignal): AbortSignal {
    if (!this.#following) throw new ServiceError('unavailable', 'The machine is not running.', 'Start it first.');
    if (this.#remote && this.#state.kind !== 'ready') {
      const detail = this.#state.kind === 'lost' ? this.#state.problem.detail : '';
      throw new ServiceError('unavailable', ['The engine can’t be reached', detail].filter(Boolean).join(': '));
    }
    return AbortSignal.any([signal, this.#following.signal]);
  }

  version(abortSignal: AbortSignal): Promise<EngineVersion> {
    return call(this.docker.version, this.docker, abortSignal);
  }

  info(abortSignal: AbortSignal): Promise<Record<string, unknown>> {
    return call(this.docker.info, this.docker, abortSignal);
  }

  ping(abortSignal: AbortSignal): Promise<unknown> {
    return call(this.docker.ping, this.docker, abortSignal);
  }

  follow(): void {
    if (this.#following || this.closed.aborted) return;
    this.#following = new AbortController();
    void this.#keepFollowing(this.#following.signal);
  }

  leave(): void {
    this.#following?.abort();
    this.#following = undefined;
    if (this.#state.kind !== 'off') this.#set({ kind: 'off' });
  }

  /** Does not wait for the time of the next attempt. */
  retry(): void {
    this.#again.abort();
    this.#again = new AbortController();
  }

  close(): void {
    this.leave();
    this.#close.abort();
  }

  #set(state: EngineState): void {
    this.#state = state;
    this.states.publish(state);
  }

  async #keepFollowing(signal: AbortSignal): Promise<void> {
    this.#set({ kind: 'waiting', reason: undefined });
    for (let pause = FIRST_PAUSE_MS; !signal.aborted; pause *= 2) {
      let failure: Error;
      try {
        const events = await this.#connect(signal);
        pause = FIRST_PAUSE_MS;
        await this.#read(events);
        failure = Object.assign(new Error('the engine ended its event stream'), { code: 'ENDED' });
      } catch (error) {
        failure = error as Error;
      }
      if (signal.aborted) return;
      const [least, most] = this.#failed(failure);
      pause = Math.min(Math.max(pause, least), most);
      await sleep(pause, undefined, { signal: AbortSignal.any([signal, this.#again.signal]) }).catch(() => {});
    }
  }

  /** The shortest and the longest pause until the next attempt. */
  #failed(error: Error): [number, number] {
    if (!this.#remote) {
      this.#set({ kind: 'waiting', reason: error.message });
      return [FIRST_PAUSE_MS, 2_000];
    }
    const problem = this.#remote.problemOf(error);
    this.#remote.reset();
    // One that was there may be back in a moment.
    if (this.#state.kind === 'ready') this.#set({ kind: 'waiting', reason: problem.detail });
    else this.#set({ kind: 'lost', problem });
    return PATIENT.includes(problem.code) ? [20_000, 60_000] : [500, 5_000];
  }

  /** Agrees on a version of the API and subscribes to the events; then it is ready. */
  async #connect(signal: AbortSignal): Promise<AsyncIterable<Buffer>> {
    const limited = this.#remote ? AbortSignal.any([signal, AbortSignal.timeout(ANSWER_MS)]) : signal;
    const version = await negotiated(this, limited);
    const opening = this.docker.getEvents({ abortSignal: signal });
    const events = (await Promise.race([opening, aborted(limited)])) as AsyncIterable<Buffer>;
    signal.throwIfAborted();
    this.#set({ kind: 'ready', version: version.Version, apiVersion: version.ApiVersion, since: Date.now() });
    this.news.publish({ kind: 'resync' });
    return events;
  }

  /** One JSON document per line. */
  async #read(events: AsyncIterable<Buffer>): Promise<void> {
    const pulse = this.#remote && setInterval(() => void this.#feelPulse(), PULSE_MS).unref();
    try {
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
    } finally {
      clearInterval(pulse);
    }
  }

  /** A network that went away says nothing; what waits for it then is told. */
  async #feelPulse(): Promise<void> {
    const { closed } = this;
    const limit = AbortSignal.any([closed, AbortSignal.timeout(PULSE_ANSWER_MS)]);
    await this.ping(limit).catch(() => {
      if (!closed.aborted) this.#remote?.reset();
    });
  }
}

interface EngineVersion {
  Version: string;
  ApiVersion: string;
}

/** dockerode takes a signal for these as well; its types do not say so. */
function call<T>(method: unknown, docker: Dockerode, abortSignal: AbortSignal): Promise<T> {
  return (method as (options: { abortSignal: AbortSignal }) => Promise<T>).call(docker, { abortSignal });
}

function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, fail) => signal.addEventListener('abort', () => fail(signal.reason), { once: true }));
}
