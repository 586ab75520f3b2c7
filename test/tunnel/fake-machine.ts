import { MachineError, type MachineState, type SshEndpoint } from '../../electron/machine/types.ts';
import type { TunnelMachine } from '../../electron/tunnel/types.ts';

/** A machine of which a test decides the state; there is no QEMU behind it. */
export class FakeMachine implements TunnelMachine {
  state: MachineState;
  starts = 0;
  /** what start() does; by default the machine runs after a moment */
  onStart: () => Promise<void> = async () => {
    this.set({ kind: 'starting', step: 'qemu', since: Date.now() });
    await new Promise((done) => setTimeout(done, 50));
    this.set({ kind: 'running', since: Date.now(), bootMs: 50 });
  };
  #endpoint: () => SshEndpoint;
  #listeners = new Set<(state: MachineState) => void>();
  #starting: Promise<void> | undefined;

  constructor(endpoint: () => SshEndpoint, state: MachineState = { kind: 'running', since: 0, bootMs: 0 }) {
    this.#endpoint = endpoint;
    this.state = state;
  }

  set(state: MachineState): void {
    this.state = state;
    for (const listener of [...this.#listeners]) listener(state);
  }

  onState(listener: (state: MachineState) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async start(): Promise<void> {
    if (this.state.kind === 'running' || this.state.kind === 'degraded') return;
    this.#starting ??= this.#start();
    await this.#starting;
  }

  async #start(): Promise<void> {
    this.starts++;
    try {
      await this.onStart();
    } finally {
      this.#starting = undefined;
    }
  }

  endpoint(): SshEndpoint {
    const { kind } = this.state;
    if (kind !== 'running' && kind !== 'degraded') throw new MachineError('not-running', 'the machine is not running');
    return this.#endpoint();
  }
}
