import { RegistryError } from '../../content/registry/errors.ts';
import type { Answer, Transport } from '../../content/registry/transport.ts';
import { EngineError, type ErrorKind, systemError } from '../../errors.ts';

const KINDS: Readonly<Record<number, ErrorKind>> = {
  400: 'invalidParameter',
  401: 'unauthorized',
  403: 'forbidden',
  404: 'notFound',
};
const SHOWN_BODY = 4096;

/** A file on the web, redirects followed; an answer that is none is an error in Docker's words (moby GetWithStatusError). */
export async function download(transport: Transport, url: string, signal: AbortSignal): Promise<Answer> {
  let answer: Answer;
  try {
    answer = await transport.request(new URL(url), { signal });
  } catch (error) {
    throw error instanceof RegistryError ? systemError(error.message, error) : error;
  }
  if (answer.status < 400) return answer;
  let text = '';
  try {
    for await (const chunk of answer.body) {
      text += String(chunk);
      if (text.length > SHOWN_BODY) break;
    }
  } catch {
    text = 'error reading body';
  }
  const status = [answer.status, answer.body.statusMessage].filter(Boolean).join(' ');
  throw new EngineError(
    KINDS[answer.status] ?? 'system',
    `failed to GET ${url} with status ${status}: ${text.slice(0, SHOWN_BODY).trim()}`,
  );
}

/** What a download brings. A connection that breaks off says so, as Go does. */
export async function* bodyOf({ body }: Answer): AsyncGenerator<Buffer> {
  try {
    yield* body as AsyncIterable<Buffer>;
  } catch (error) {
    throw systemError('unexpected EOF', error);
  } finally {
    body.destroy();
  }
}
