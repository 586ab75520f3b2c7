import { request } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Machine } from '../machine/types.ts';
import type { Tunnel } from '../tunnel/types.ts';

const EVERY_MS = 30_000;
/** Between two looks at the clock; a computer that slept in between shows a gap. */
const TICK_MS = 5_000;
const SLEPT_MS = 10_000;
const ANSWER_MS = 15_000;
/** The answer's date has whole seconds, and an emulated guest takes some time to answer. */
const SKEW_MS = 3_000;

/**
 * Asks the engine through the local socket, as `docker` does, whether it answers and what time it has: twice a minute, and at
 * once when the computer has slept. A clock that is wrong is set, a connection that is dead is made anew.
 */
export class Health {
  /** how many requests it has made */
  asked = 0;
  readonly #machine: Machine;
  readonly #tunnel: Tunnel;
  readonly #ticking: NodeJS.Timeout;
  #lastTick = Date.now();
  #lastCheck = Date.now();
  #checking: Promise<void> | undefined;

  constructor(machine: Machine, tunnel: Tunnel) {
    this.#machine = machine;
    this.#tunnel = tunnel;
    this.#ticking = setInterval(() => this.#tick(), TICK_MS);
    this.#ticking.unref();
  }

  close(): void {
    clearInterval(this.#ticking);
  }

  /** After the computer slept. */
  async resumed(): Promise<void> {
    this.#machine.setClock();
    await this.#tunnel.check(2_000);
    await this.check();
  }

  /** Does nothing while the machine is down: a look must not wake it. */
  check(): Promise<void> {
    this.#checking ??= this.#check().finally(() => {
      this.#checking = undefined;
    });
    return this.#checking;
  }

  #tick(): void {
    const now = Date.now();
    const slept = now - this.#lastTick > TICK_MS + SLEPT_MS;
    this.#lastTick = now;
    if (slept) void this.resumed();
    else if (now - this.#lastCheck >= EVERY_MS) void this.check();
  }

  async #check(): Promise<void> {
    this.#lastCheck = Date.now();
    if (this.#machine.state.kind !== 'running') return;
    // A machine that stops while this waits would be woken by it.
    const down = new AbortController();
    const unsubscribe = this.#machine.onState(({ kind }) => {
      if (kind !== 'running' && kind !== 'degraded') down.abort();
    });
    try {
      const guestTime = await Promise.race([
        this.guestTime(down.signal),
        sleep(ANSWER_MS, undefined, { ref: false, signal: down.signal }),
      ]);
      if (guestTime === undefined) await this.#tunnel.check(2_000);
      else if (Math.abs(guestTime - Date.now()) > SKEW_MS) this.#machine.setClock();
    } catch {
      // It went down, or does not answer yet: the tunnel and the machine see to that.
    } finally {
      down.abort();
      unsubscribe();
    }
  }

  /** What the engine says the time is. */
  guestTime(signal: AbortSignal): Promise<number> {
    this.asked++;
    return new Promise((done, fail) => {
      const options = { socketPath: this.#tunnel.socketPath, path: '/_ping', agent: false, signal };
      const sent = request(options, (response) => {
        response.resume();
        const time = Date.parse(response.headers.date ?? '');
        // An answer without a date is an answer.
        response.on('end', () => done(Number.isNaN(time) ? Date.now() : time));
      });
      sent.on('error', fail);
      sent.end();
    });
  }
}
