import type { Implementation } from '../../contract/contract.ts';
import type { AppState } from '../../contract/state.ts';
import type { Machine } from '../../machine/types.ts';
import { dockerHost } from '../../tunnel/socket-path.ts';
import type { DockerContext } from '../docker-context.ts';
import { checkClock } from './clock.ts';
import { checkConnection } from './connection.ts';
import { checkContext } from './context.ts';
import { checkDisk } from './disk.ts';
import { checkSocket } from './socket.ts';
import { checkVirtualisation } from './virtualisation.ts';

export interface Patient {
  home: string;
  socketPath: string;
  machine: Machine;
  context: DockerContext;
  state: () => AppState;
  guestTime: (signal: AbortSignal) => Promise<number>;
}

export function troubleshootServices(patient: Patient): Implementation['troubleshoot'] {
  const { home, socketPath, machine, context, state, guestTime } = patient;
  return {
    checks: async () => {
      const found = await Promise.all([
        checkConnection(state()),
        checkVirtualisation(machine.accelerator),
        checkDisk(machine, home),
        checkClock(machine, guestTime),
        checkContext(context, dockerHost(socketPath)),
        checkSocket(socketPath),
      ]);
      return found.filter((finding) => finding !== undefined);
    },
    setClock: async () => machine.setClock(),
  };
}
