import type { IncomingMessage, ServerResponse } from 'node:http';

import type { Progress } from '../daemon/images/images.ts';
import { messageOf } from '../errors.ts';
import type { Context } from './context.ts';

/**
 * A stream of JSON lines. Nothing is sent before the first line, so that what fails early gets a status of its own; later
 * errors are a line (moby: streamformatter.FormatError).
 */
export async function streaming(context: Context, work: (progress: Progress) => Promise<void>): Promise<void> {
  let response: ServerResponse | undefined;
  const progress: Progress = (line) => {
    if (context.signal.aborted) return;
    response ??= context.stream('application/json');
    response.write(`${JSON.stringify(line)}\r\n`);
  };
  try {
    await work(progress);
  } catch (error) {
    context.request.resume();
    if (!response) throw error;
    if (!context.signal.aborted) {
      const message = messageOf(error);
      response.write(`${JSON.stringify({ errorDetail: { message }, error: message })}\r\n`);
    }
  }
  response ??= context.stream('application/json');
  response.end();
}

/** The body without Node's habit of closing the connection when its reader stops early: the answer must still arrive. */
export const bodyOf = (request: IncomingMessage): AsyncIterable<Buffer> => ({
  [Symbol.asyncIterator]: () => request.iterator({ destroyOnReturn: false }) as AsyncIterator<Buffer>,
});

/** X-Registry-Auth as it came. */
export const authHeader = (request: IncomingMessage): string | undefined => {
  const value = request.headers['x-registry-auth'];
  return Array.isArray(value) ? value[0] : value;
};
