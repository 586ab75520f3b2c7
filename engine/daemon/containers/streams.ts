import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';

import { DetachFilter } from './detach-keys.ts';

/**
 * Joins a client's connection to a process's stream until the process's output ends or the client goes.
 * @param detach key sequence that lets the client go (terminals with input only)
 */
export function bridge(
  client: Duplex,
  process: Socket,
  options: { readonly stdin: boolean; readonly detach?: Buffer; readonly onDetach?: () => void },
): Promise<void> {
  return new Promise((resolve) => {
    const finish = (): void => {
      process.destroy();
      resolve();
    };
    process.pipe(client);
    process.on('end', () => {
      client.end();
      finish();
    });
    process.on('close', finish);
    client.on('error', finish);
    client.on('close', finish);
    if (!options.stdin) {
      client.resume();
      return;
    }
    if (!options.detach) {
      client.pipe(process);
      return;
    }
    const filter = new DetachFilter(options.detach, () => {
      options.onDetach?.();
      client.end();
      finish();
    });
    client.pipe(filter).pipe(process);
  });
}
