import type { Client, ServiceName } from '../contract/contract.ts';
import type { WireError } from '../contract/errors.ts';
import type { ShellPort, ToShell } from '../contract/protocol.ts';

/** An error that came from the app, or 'lost' when the connection to it went. */
export class AppError extends Error {
  override readonly name = 'AppError';
  readonly kind: WireError['kind'];
  readonly hint: string;
  readonly detail: string;

  constructor(error: WireError) {
    super(error.message);
    this.kind = error.kind;
    this.hint = error.hint;
    this.detail = error.detail;
  }
}

const LOST: WireError = { kind: 'lost', message: 'The connection to Skiff was lost.', hint: '', detail: '' };
const CANCELLED: WireError = { kind: 'cancelled', message: 'Cancelled.', hint: '', detail: '' };
/** items of a stream that may be under way or waiting for their reader */
const CREDIT = 64;

interface Asked {
  item(value: unknown): void;
  end(value?: unknown): void;
  error(error: AppError): void;
}

/** The contract over a port: `client.containers.list()`, `for await (const chunk of client.containers.logs(…))`. */
export function createClient(port: ShellPort): Client {
  return createClients(port)(undefined, new AbortController().signal);
}

/**
 * Clients over one port, each for one engine (undefined: Skiff's own). When a client's signal fires, all that it has asked for is
 * cancelled, and it asks for nothing any more.
 */
export function createClients(port: ShellPort): (engine: string | undefined, signal: AbortSignal) => Client {
  const connection = new Connection(port);
  return (engine, signal) => clientOf(connection, { engine, signal });
}

/** For which engine, and for how long, a client asks. */
interface Bond {
  engine: string | undefined;
  signal: AbortSignal;
}

function clientOf(connection: Connection, bond: Bond): Client {
  bond.signal.addEventListener('abort', () => connection.leave(bond), { once: true });
  const service = (name: ServiceName) =>
    new Proxy({} as Record<string, unknown>, {
      get: (_, method) =>
        // Not thenables either: `await client.settings` is a slip, not a call.
        typeof method === 'string' && method !== 'then'
          ? (...args: unknown[]) => connection.ask(bond, name, method, args)
          : undefined,
    });
  const services = new Map<string, unknown>();
  return new Proxy({} as Client, {
    get: (_, name) => {
      // Not a thenable: a client may be returned from an async function.
      if (typeof name !== 'string' || name === 'then') return undefined;
      if (!services.has(name)) services.set(name, service(name as ServiceName));
      return services.get(name);
    },
  });
}

class Connection {
  #port: ShellPort;
  #asked = new Map<number, Answer>();
  #nextId = 1;
  #lost = false;

  constructor(port: ShellPort) {
    this.#port = port;
    port.onMessage((message) => this.#receive(message));
    port.onClose(() => {
      this.#lost = true;
      for (const asked of this.#asked.values()) asked.error(new AppError(LOST));
      this.#asked.clear();
    });
  }

  /** Cancels all that was asked for through this client. */
  leave(bond: Bond): void {
    for (const [id, asked] of this.#asked) if (asked.bond === bond) this.#cancel(id);
  }

  ask(bond: Bond, service: string, method: string, args: unknown[]): Answer {
    const signal = args.at(-1) instanceof AbortSignal ? (args.pop() as AbortSignal) : undefined;
    const id = this.#nextId++;
    const answer = new Answer(
      bond,
      (items) => this.#asked.has(id) && this.#port.send({ t: 'credit', id, items }),
      () => this.#cancel(id),
    );
    if (this.#lost) answer.error(new AppError(LOST));
    else if (signal?.aborted || bond.signal.aborted) answer.error(new AppError(CANCELLED));
    else {
      this.#asked.set(id, answer);
      this.#port.send({ t: 'ask', id, service, method, args, credit: CREDIT, engine: bond.engine });
      signal?.addEventListener('abort', () => this.#cancel(id), { once: true });
    }
    return answer;
  }

  #cancel(id: number): void {
    const asked = this.#asked.get(id);
    if (!asked) return;
    this.#asked.delete(id);
    this.#port.send({ t: 'cancel', id });
    asked.error(new AppError(CANCELLED));
  }

  #receive(message: ToShell): void {
    const asked = this.#asked.get(message.id);
    if (!asked) return;
    if (message.t === 'item') {
      asked.item(message.value);
      return;
    }
    this.#asked.delete(message.id);
    if (message.t === 'result') asked.end(message.value);
    else if (message.t === 'end') asked.end();
    else asked.error(new AppError(message.error));
  }
}

/**
 * Promise and stream in one, since only the contract's types know which a method is: awaited it is a call, looped over it
 * is a stream. The message is sent when the method is called, not when the answer is looked at.
 */
class Answer implements PromiseLike<unknown>, AsyncIterable<unknown>, Asked {
  readonly bond: Bond;
  #items: unknown[] = [];
  #outcome: { value?: unknown; error?: AppError } | undefined;
  #wake: (() => void)[] = [];
  #taken = 0;
  #credit: (items: number) => void;
  #cancel: () => void;

  constructor(bond: Bond, credit: (items: number) => void, cancel: () => void) {
    this.bond = bond;
    this.#credit = credit;
    this.#cancel = cancel;
  }

  item(value: unknown): void {
    this.#items.push(value);
    this.#notify();
  }

  end(value?: unknown): void {
    this.#settle({ value });
  }

  error(error: AppError): void {
    this.#settle({ error });
  }

  // biome-ignore lint/suspicious/noThenProperty: an awaited method is a call
  then<A = unknown, B = never>(
    onValue?: ((value: unknown) => A | PromiseLike<A>) | null,
    onError?: ((error: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    return this.#result().then(onValue, onError);
  }

  catch<B>(onError: (error: unknown) => B | PromiseLike<B>): Promise<unknown> {
    return this.#result().catch(onError);
  }

  finally(onEnd: () => void): Promise<unknown> {
    return this.#result().finally(onEnd);
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<unknown> {
    try {
      for (;;) {
        while (this.#items.length > 0) {
          yield this.#items.shift();
          if (++this.#taken % (CREDIT / 2) === 0) this.#credit(CREDIT / 2);
        }
        if (this.#outcome?.error) {
          if (this.#outcome.error.kind === 'cancelled') return;
          throw this.#outcome.error;
        }
        if (this.#outcome) return;
        await this.#change();
      }
    } finally {
      this.#cancel();
    }
  }

  async #result(): Promise<unknown> {
    while (!this.#outcome) await this.#change();
    if (this.#outcome.error) throw this.#outcome.error;
    return this.#outcome.value;
  }

  #settle(outcome: { value?: unknown; error?: AppError }): void {
    this.#outcome ??= outcome;
    this.#notify();
  }

  #change(): Promise<void> {
    return new Promise((done) => this.#wake.push(done));
  }

  #notify(): void {
    for (const wake of this.#wake.splice(0)) wake();
  }
}
