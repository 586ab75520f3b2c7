import { request as httpRequest } from 'node:http';

import { pack } from 'tar-stream';

/** What a build's stream said. */
export interface Posted {
  readonly status: number;
  readonly text: string;
  /** All `stream` texts. */
  readonly said: string;
  readonly error: string;
}

/** POST /build past the CLI, which does some of the engine's work itself. */
export function postBuild(
  socket: string,
  query: Readonly<Record<string, string>>,
  body: Buffer = Buffer.alloc(0),
  headers: Readonly<Record<string, string>> = {},
  signal?: AbortSignal,
): Promise<Posted> {
  return new Promise((resolve, reject) => {
    const path = `/build?${new URLSearchParams(query)}`;
    const request = httpRequest({ socketPath: socket, path, method: 'POST', headers, signal }, (answer) => {
      let text = '';
      answer.on('data', (chunk) => (text += chunk));
      answer.on('error', reject);
      answer.on('end', () => resolve(read(answer.statusCode ?? 0, text)));
    });
    request.on('error', reject);
    request.end(body);
  });
}

function read(status: number, text: string): Posted {
  let said = '';
  let error = '';
  for (const line of text.split('\r\n').filter((part) => part.startsWith('{'))) {
    const { stream = '', error: words, message } = JSON.parse(line) as Record<string, string | undefined>;
    said += stream;
    error ||= words ?? message ?? '';
  }
  return { status, text, said, error };
}

export async function contextTar(entries: Readonly<Record<string, string | Buffer>>): Promise<Buffer> {
  const archive = pack();
  for (const [name, content] of Object.entries(entries)) archive.entry({ name }, content);
  archive.finalize();
  const pieces: Buffer[] = [];
  for await (const piece of archive as AsyncIterable<Buffer>) pieces.push(piece);
  return Buffer.concat(pieces);
}
