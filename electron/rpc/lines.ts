import type { Duplex } from 'node:stream';
import type { Port } from '../contract/protocol.ts';
import { decode, encode } from './codec.ts';

/** A message of the contract never comes near this; a longer line is not from us. */
const LONGEST_LINE = 64 * 1024 * 1024;

/** A port over a byte stream, one JSON line per message: for local sockets and channels into the guest. */
export function linePort<Out, In>(stream: Duplex): Port<Out, In> {
  let listener: ((message: In) => void) | undefined;
  const waiting: In[] = [];
  const closeListeners: (() => void)[] = [];
  let closed = false;
  let rest = '';
  stream.setEncoding('utf8');
  stream.on('data', (text: string) => {
    const lines = (rest + text).split('\n');
    rest = lines.pop() ?? '';
    if (rest.length > LONGEST_LINE) stream.destroy();
    for (const line of lines) {
      if (line === '') continue;
      try {
        const message = decode(line) as In;
        if (listener) listener(message);
        else waiting.push(message);
      } catch {
        stream.destroy();
        return;
      }
    }
  });
  const onClosed = () => {
    if (closed) return;
    closed = true;
    stream.destroy();
    for (const each of closeListeners) each();
  };
  stream.on('error', onClosed);
  stream.on('end', onClosed);
  stream.on('close', onClosed);
  return {
    send: (message) => {
      if (!closed) stream.write(`${encode(message)}\n`);
    },
    onMessage: (each) => {
      listener = each;
      for (const message of waiting.splice(0)) each(message);
    },
    onClose: (each) => {
      if (closed) each();
      else closeListeners.push(each);
    },
    close: () => stream.destroy(),
  };
}
