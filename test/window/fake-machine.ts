import { listSnapshots } from '../../electron/machine/snapshots.ts';
import {
  type DiskSnapshot,
  type ExposedPort,
  type Machine,
  MachineError,
  type MachineFiles,
  type MachineStats,
} from '../../electron/machine/types.ts';
import { FakeMachine } from '../tunnel/fake-machine.ts';

/** A whole machine without QEMU, for tests of the window; the tunnel to its "guest" is real. */
export class WindowMachine extends FakeMachine implements Machine {
  readonly accelerator = undefined;
  readonly imageVersion = 'none';
  /** a real data disk, for what is done to it while the machine is stopped */
  files: MachineFiles | undefined;
  #ports: ExposedPort[] = [];

  async stop(): Promise<void> {
    if (this.state.kind === 'stopped') return;
    this.set({ kind: 'stopping' });
    await new Promise((done) => setTimeout(done, 50));
    this.set({ kind: 'stopped' });
  }

  async release(): Promise<void> {
    this.set({ kind: 'stopped' });
  }

  async expose(port: ExposedPort): Promise<void> {
    this.#ports.push(port);
  }

  async unexpose(port: ExposedPort): Promise<void> {
    this.#ports = this.#ports.filter((open) => open.hostPort !== port.hostPort);
  }

  exposed(): ExposedPort[] {
    return [...this.#ports];
  }

  async stats(): Promise<MachineStats> {
    return {
      cpuPercent: 12,
      hostRssBytes: 420e6,
      guestMemoryBytes: 2048e6,
      guestUsedBytes: 260e6,
      diskRealBytes: 3.1e9,
      diskVirtualBytes: 64e9,
    };
  }

  configure(): void {}

  setClock(): void {}

  async compactDisk(): Promise<{ beforeBytes: number; afterBytes: number }> {
    return { beforeBytes: 3.1e9, afterBytes: 2.4e9 };
  }

  async growDisk(): Promise<void> {}

  async snapshots(): Promise<DiskSnapshot[]> {
    return this.files ? listSnapshots(this.files) : [];
  }

  async whileStopped<T>(work: (files: MachineFiles) => Promise<T>): Promise<T> {
    if (this.files && this.state.kind === 'stopped') return work(this.files);
    throw new MachineError('not-stopped', 'The machine is running.', { hint: 'Stop it first.' });
  }

  bootTiming(): undefined {
    return undefined;
  }

  logTail(): string[] {
    return ['[    0.0] Linux'];
  }
}
