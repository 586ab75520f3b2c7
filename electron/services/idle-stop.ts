import type { Machine } from '../machine/types.ts';

export interface IdleStopOptions {
  machine: Pick<Machine, 'state' | 'stop'>;
  /** 0: never; asked each time, so that the setting is live */
  minutes(): number;
  /** connections of clients that are open now, and how many there were ever */
  clients(): { open: number; served: number };
  /** Do containers run? Asked only when nobody was there for long enough. */
  containersRun(): Promise<boolean>;
  log(line: string): void;
  /** the length of a minute, for tests */
  minuteMs?: number;
}

const MINUTE_MS = 60_000;

/** Stops a machine that nobody uses: no running container, no client for the minutes of the setting. The socket wakes it again. */
export class IdleStop {
  readonly #options: IdleStopOptions;
  readonly #timer: NodeJS.Timeout;
  readonly #minuteMs: number;
  #idleSince = Date.now();
  #served = -1;
  #deciding = false;

  constructor(options: IdleStopOptions) {
    this.#options = options;
    this.#minuteMs = options.minuteMs ?? MINUTE_MS;
    this.#timer = setInterval(() => void this.look(), this.#minuteMs / 6);
    this.#timer.unref();
  }

  close(): void {
    clearInterval(this.#timer);
  }

  async look(now = Date.now()): Promise<void> {
    const { machine, minutes, clients, containersRun, log } = this.#options;
    const { open, served } = clients();
    const used = machine.state.kind !== 'running' || open > 0 || served !== this.#served;
    this.#served = served;
    if (used || minutes() === 0) this.#idleSince = now;
    if (this.#deciding || now - this.#idleSince < minutes() * this.#minuteMs || minutes() === 0) return;
    this.#deciding = true;
    try {
      if (await containersRun()) this.#idleSince = now;
      // Somebody may have come while we asked, which was one connection.
      else if (machine.state.kind === 'running' && clients().served - served <= 1) {
        log(`nobody used the machine for ${minutes()} min: it stops until the next docker command`);
        await machine.stop();
      }
    } catch {
      // The engine does not answer just now: later.
    } finally {
      this.#served = clients().served;
      this.#deciding = false;
    }
  }
}
