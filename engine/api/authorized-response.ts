import type { ServerResponse } from 'node:http';

/** More of an answer than this goes out without having been shown to the plugins (moby: maxBodySize). */
const SHOWN_LIMIT = 64 * 1024;

export interface Verdict {
  /** Throws when the answer must not go out. */
  readonly check: (
    status: number,
    headers: Readonly<Record<string, string>>,
    body: Buffer | undefined,
  ) => Promise<void>;
  /** Sends another answer in its place. */
  readonly refuse: (error: unknown) => void;
}

/**
 * Holds an answer back until the authorization plugins have seen it. A short one is shown whole when it ends; of a stream they see
 * status and headers, before its first byte goes out.
 */
export function holdBack(response: ServerResponse, verdict: Verdict): void {
  const real = {
    writeHead: response.writeHead.bind(response),
    write: response.write.bind(response) as (chunk: Buffer) => boolean,
    end: response.end.bind(response) as (chunk?: Buffer) => ServerResponse,
    flushHeaders: response.flushHeaders.bind(response),
  };
  const held: Buffer[] = [];
  let head: Parameters<ServerResponse['writeHead']> | undefined;
  let ended = false;
  let asked = false;

  const restore = (): void => void Object.assign(response, real);
  const ask = (body: Buffer | undefined): void => {
    if (asked) return;
    asked = true;
    const status = typeof head?.[0] === 'number' ? head[0] : response.statusCode;
    const headers = Object.fromEntries(
      Object.entries(response.getHeaders()).map(([name, value]) => [name, String(value)]),
    );
    verdict.check(status, headers, body).then(
      () => {
        restore();
        if (head) real.writeHead(...head);
        for (const chunk of held) real.write(chunk);
        if (ended) real.end();
        else real.flushHeaders();
      },
      (error) => {
        restore();
        verdict.refuse(error);
      },
    );
  };
  const keep = (chunk: unknown): void => {
    if (chunk !== undefined && chunk !== null) held.push(Buffer.from(chunk as Buffer));
  };
  Object.assign(response, {
    writeHead(...values: Parameters<ServerResponse['writeHead']>) {
      head = values;
      return response;
    },
    write(chunk: unknown) {
      keep(chunk);
      if (held.reduce((sum, part) => sum + part.length, 0) > SHOWN_LIMIT) ask(undefined);
      return true;
    },
    end(chunk?: unknown) {
      keep(typeof chunk === 'function' ? undefined : chunk);
      ended = true;
      ask(Buffer.concat(held));
      return response;
    },
    flushHeaders() {
      ask(undefined);
    },
  });
}
