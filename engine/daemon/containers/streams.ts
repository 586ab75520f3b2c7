import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';

import { DetachFilter } from './detach-keys.ts';

/**
 * Joins a client's connection to a process's stream until the process's output ends or the client goes.
 * @param detach key sequence that lets the client go (terminals with input only)
 * @param until what must have happened before the client sees the end, as it will ask about it next
 */
export function bridge(
  client: Duplex,
  process: Socket,
  options: {
    readonly stdin: boolean;
    readonly detach?: Buffer;
    readonly onDetach?: () => void;
    readonly until?: Promise<unknown>;
  },
): Promise<void> {
  return new Promise((resolve) => {
    const finish = (): void => {
      process.destroy();
      resolve();
    };
    process.pipe(client, { end: false });
    process.on('end', async () => {
      await options.until;
      client.end();
      finish();
    });
    process.on('close', () => {
      // Without an end of its own the shim has died, or the process never came to be.
      if (process.readableEnded) return;
      client.end();
      finish();
    });
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
