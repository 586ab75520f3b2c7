import { shallowRef } from 'vue';
import type { Client } from '../../electron/contract/contract.ts';
import { AppError, createClient } from '../../electron/rpc/client.ts';
import { openPort } from './ports.ts';

const FIRST_RETRY_MS = 250;
const LONGEST_RETRY_MS = 3_000;

/**
 *   connecting ──▶ open ──▶ lost ──▶ open …      (`lost` tries again by itself)
 */
export type LinkState = 'connecting' | 'open' | 'lost';

/**
 * The one connection of this window. Subscriptions are made through `whileOpen`, which makes them again after every
 * reconnection: whoever uses it never notices that there was one.
 */
class Link {
  readonly state = shallowRef<LinkState>('connecting');
  #client: Client | undefined;
  #subscriptions = new Set<(client: Client, signal: AbortSignal) => Promise<void>>();
  #open: AbortController | undefined;

  /** Throws AppError 'lost' while there is no connection. */
  get client(): Client {
    if (this.#client) return this.#client;
    throw new AppError({ kind: 'lost', message: 'Skiff does not answer.', hint: '', detail: '' });
  }

  /** Runs `subscription` now (if connected) and after every reconnection. Returns the way to end it. */
  whileOpen(subscription: (client: Client, signal: AbortSignal) => Promise<void>): () => void {
    const ended = new AbortController();
    const wrapped = (client: Client, signal: AbortSignal) =>
      subscription(client, AbortSignal.any([signal, ended.signal])).catch((error: unknown) => {
        const quiet = error instanceof AppError && (error.kind === 'lost' || error.kind === 'cancelled');
        if (!quiet) console.error(error);
      });
    this.#subscriptions.add(wrapped);
    if (this.#client && this.#open) void wrapped(this.#client, this.#open.signal);
    return () => {
      this.#subscriptions.delete(wrapped);
      ended.abort();
    };
  }

  async connect(): Promise<void> {
    for (let pause = FIRST_RETRY_MS; ; pause = Math.min(pause * 2, LONGEST_RETRY_MS)) {
      try {
        const port = await openPort();
        port.onClose(() => this.#lost());
        const client = createClient(port);
        const open = new AbortController();
        this.#client = client;
        this.#open = open;
        this.state.value = 'open';
        for (const subscription of this.#subscriptions) void subscription(client, open.signal);
        return;
      } catch {
        this.state.value = 'lost';
        await new Promise((done) => setTimeout(done, pause));
      }
    }
  }

  #lost(): void {
    this.#client = undefined;
    this.#open?.abort();
    this.state.value = 'lost';
    void this.connect();
  }
}

export const link = new Link();
