import { shallowRef, triggerRef } from 'vue';
import type { Client } from '../../electron/contract/contract.ts';
import { AppError, createClients } from '../../electron/rpc/client.ts';
import { openPort } from './ports.ts';

const FIRST_RETRY_MS = 250;
const LONGEST_RETRY_MS = 3_000;
/** until an engine that could not be reached is asked again */
const UNAVAILABLE_MS = 2_000;

/** The engine in Skiff's own machine. */
export const OWN_ENGINE = 'skiff';

/** What is asked of an engine; the rest is asked of Skiff itself. */
const OF_ENGINE: readonly string[] = [
  'engine',
  'containers',
  'images',
  'volumes',
  'networks',
  'builds',
] satisfies (keyof Client)[];

/**
 *   connecting ──▶ open ──▶ lost ──▶ open …      (`lost` tries again by itself)
 */
export type LinkState = 'connecting' | 'open' | 'lost';

type Subscription = (client: Client, signal: AbortSignal) => Promise<void>;

interface Open {
  clients: ReturnType<typeof createClients>;
  /** lives as long as the connection */
  own: Client;
  /** lives as long as the window looks at one engine through this connection */
  client: Client;
  looking: AbortController;
}

/**
 * The one connection of this window, and the engine that it looks at. Subscriptions are made through `whileOpen`, which makes
 * them again after every reconnection: whoever uses it never notices that there was one. Looking at another engine is the same
 * thing: what was asked of the old one is cancelled, its answers and events are dropped, and every subscription is made anew.
 */
class Link {
  readonly state = shallowRef<LinkState>('connecting');
  /** id of the engine that is looked at; empty until it is known which one was chosen last */
  readonly engine = shallowRef('');
  #open: Open | undefined;
  #subscriptions = new Set<Subscription>();

  /** Of the engine that is looked at now; of no use any more when that is another one. Throws AppError 'lost' while there is no connection. */
  get client(): Client {
    return this.#opened().client;
  }

  /** Of Skiff's own engine, whichever is looked at. Throws AppError 'lost'. */
  get own(): Client {
    return this.#opened().own;
  }

  /**
   * Runs `subscription` now (if connected), after every reconnection, for every engine, and again while an engine can't be
   * reached. Returns the way to end it.
   */
  whileOpen(subscription: Subscription): () => void {
    const ended = new AbortController();
    const wrapped: Subscription = async (client, looking) => {
      const signal = AbortSignal.any([looking, ended.signal]);
      while (!signal.aborted) {
        try {
          await subscription(client, signal);
          return;
        } catch (error) {
          const kind = error instanceof AppError ? error.kind : undefined;
          if (kind !== 'lost' && kind !== 'cancelled' && kind !== 'unavailable') console.error(error);
          if (kind !== 'unavailable') return;
        }
        await new Promise((done) => setTimeout(done, UNAVAILABLE_MS));
      }
    };
    this.#subscriptions.add(wrapped);
    if (this.#open) void wrapped(this.#open.client, this.#open.looking.signal);
    return () => {
      this.#subscriptions.delete(wrapped);
      ended.abort();
    };
  }

  /** Looks at this engine from now on, or at the same one anew. */
  look(engine: string): void {
    const open = this.#open;
    // Who shows something of it empties itself, also when it is the same one.
    if (this.engine.value === engine) triggerRef(this.engine);
    this.engine.value = engine;
    if (!open) return;
    open.looking.abort();
    this.#begin(open.clients, open.own, engine);
  }

  async connect(): Promise<void> {
    for (let pause = FIRST_RETRY_MS; ; pause = Math.min(pause * 2, LONGEST_RETRY_MS)) {
      try {
        const port = await openPort();
        const open = new AbortController();
        port.onClose(() => {
          open.abort();
          this.#lost();
        });
        const clients = createClients(port);
        const own = clients(undefined, open.signal);
        this.engine.value ||= await chosenEngine(own);
        if (open.signal.aborted) throw new Error('it was closed at once');
        this.#begin(clients, own, this.engine.value);
        return;
      } catch {
        this.state.value = 'lost';
        await new Promise((done) => setTimeout(done, pause));
      }
    }
  }

  #opened(): Open {
    if (this.#open) return this.#open;
    throw new AppError({ kind: 'lost', message: 'Skiff does not answer.', hint: '', detail: '' });
  }

  #begin(clients: Open['clients'], own: Client, engine: string): void {
    const looking = new AbortController();
    const client = combined(own, clients(engine, looking.signal));
    this.#open = { clients, own, client, looking };
    this.state.value = 'open';
    for (const subscription of this.#subscriptions) void subscription(client, looking.signal);
  }

  #lost(): void {
    // One that closed before it was of use is tried again by `connect`.
    if (!this.#open) return;
    this.#open.looking.abort();
    this.#open = undefined;
    this.state.value = 'lost';
    void this.connect();
  }
}

async function chosenEngine(own: Client): Promise<string> {
  for await (const { chosen } of own.engines.watch()) return chosen;
  return OWN_ENGINE;
}

/** A start of the machine goes on when the window looks at another engine: only what is asked of the engine ends with it. */
function combined(own: Client, engine: Client): Client {
  return new Proxy(own, {
    get: (_, noun) => (OF_ENGINE.includes(String(noun)) ? engine : own)[noun as keyof Client],
  });
}

export const link = new Link();
