import type { Implementation } from '../contract/contract.ts';
import type { WireError } from '../contract/errors.ts';
import type { AppPort, ToApp } from '../contract/protocol.ts';

type AnyMethod = (...args: unknown[]) => unknown;

/** The services over one engine, held by one who asks until `done`. */
export interface Opened {
  services: Implementation;
  done(): void;
}

/**
 * Answers one shell until its port closes, which cancels all that it has asked for. Messages come from outside: whatever
 * does not fit the protocol or the contract is answered with an 'invalid' error and touches nothing. `open` throws for an engine
 * that it does not know.
 */
export function serve(
  port: AppPort,
  open: (engine: string | undefined) => Opened,
  toWire: (error: unknown) => WireError,
): void {
  const running = new Map<number, Running>();
  port.onMessage((message) => {
    if (!isMessage(message)) return;
    if (message.t === 'ask') {
      if (running.has(message.id)) return;
      const asked = new Running(message.credit);
      running.set(message.id, asked);
      void answer(port, open, message, asked, toWire).finally(() => running.delete(message.id));
    } else if (message.t === 'credit') running.get(message.id)?.allow(message.items);
    else running.get(message.id)?.cancel();
  });
  port.onClose(() => {
    for (const asked of running.values()) asked.cancel();
  });
}

async function answer(
  port: AppPort,
  open: (engine: string | undefined) => Opened,
  ask: Extract<ToApp, { t: 'ask' }>,
  asked: Running,
  toWire: (error: unknown) => WireError,
): Promise<void> {
  const { id } = ask;
  const send: AppPort['send'] = (message) => {
    if (!asked.signal.aborted) port.send(message);
  };
  let opened: Opened | undefined;
  try {
    opened = open(ask.engine);
    const found = lookUp(opened.services, ask.service, ask.method);
    if (!found) {
      const message = `Skiff does not know ${ask.service}.${ask.method}.`;
      send({ t: 'error', id, error: { kind: 'invalid', message, hint: '', detail: '' } });
      return;
    }
    // Arguments that JSON left out at the end must not let the signal slip into their place.
    const args = [...ask.args];
    while (args.length < found.method.length - 1) args.push(undefined);
    const outcome = found.method.call(found.service, ...args, asked.signal);
    if (isStream(outcome)) {
      for await (const value of outcome) {
        if (!(await asked.mayFlow())) break;
        send({ t: 'item', id, value });
      }
      send({ t: 'end', id });
    } else send({ t: 'result', id, value: await outcome });
  } catch (error) {
    send({ t: 'error', id, error: toWire(error) });
  } finally {
    opened?.done();
  }
}

function lookUp(services: Implementation, serviceName: string, methodName: string) {
  if (!Object.hasOwn(services, serviceName)) return undefined;
  const service = services[serviceName as keyof Implementation] as unknown as Record<string, AnyMethod>;
  if (!Object.hasOwn(service, methodName)) return undefined;
  const method = service[methodName];
  return typeof method === 'function' ? { service, method } : undefined;
}

class Running {
  #credit: number;
  #abort = new AbortController();
  #wake: (() => void) | undefined;

  constructor(credit: number) {
    this.#credit = credit;
  }

  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  allow(items: number): void {
    this.#credit += items;
    this.#wake?.();
  }

  cancel(): void {
    this.#abort.abort();
    this.#wake?.();
  }

  /** Takes one credit, waiting for it; false when the stream was cancelled. */
  async mayFlow(): Promise<boolean> {
    while (this.#credit <= 0 && !this.signal.aborted) {
      await new Promise<void>((done) => {
        this.#wake = done;
      });
    }
    this.#credit--;
    return !this.signal.aborted;
  }
}

function isStream(value: unknown): value is AsyncIterable<unknown> {
  return typeof value === 'object' && value !== null && Symbol.asyncIterator in value;
}

function isMessage(value: unknown): value is ToApp {
  if (typeof value !== 'object' || value === null) return false;
  const message = value as Record<string, unknown>;
  if (!Number.isSafeInteger(message.id)) return false;
  switch (message.t) {
    case 'cancel':
      return true;
    case 'credit':
      return isCount(message.items);
    case 'ask':
      return (
        typeof message.service === 'string' &&
        typeof message.method === 'string' &&
        Array.isArray(message.args) &&
        isCount(message.credit) &&
        (message.engine === undefined || typeof message.engine === 'string')
      );
    default:
      return false;
  }
}

function isCount(value: unknown): boolean {
  return Number.isSafeInteger(value) && (value as number) >= 0 && (value as number) <= 10_000;
}
