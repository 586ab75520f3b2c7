import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';

import type { Filters } from '../daemon/filters.ts';
import { invalidParameter, messageOf } from '../errors.ts';
import type { Shape } from '../model/shape.ts';

const JSON_BODY_LIMIT = 16 * 1024 * 1024;

/** What a handler gets: the decoded request and the ways to answer it. Handlers decode, call the daemon, encode. */
export interface Context {
  readonly params: Record<string, string>;
  readonly query: URLSearchParams;
  /** Minor number of the negotiated API version: 51 for v1.51. */
  readonly apiMinor: number;
  /** Aborts when the client has gone before the answer was complete. */
  readonly signal: AbortSignal;
  readonly request: IncomingMessage;
  readonly response: ServerResponse;

  /** The body as JSON of that shape, without what is null. Empty, malformed or oversized ones are the client's fault (400). */
  json<T>(shape: Shape): Promise<T>;
  /** As json(), but an empty body gives undefined. */
  optionalJson<T>(shape: Shape): Promise<T | undefined>;
  reply(status: number, value: unknown): void;
  empty(status: number): void;
  /** Starts a 200 answer of unknown length; the caller writes and ends the response. */
  stream(contentType: string): ServerResponse;
  /** Takes the connection of a request with an Upgrade header over; the caller answers. */
  takeOver(): { readonly socket: Duplex; readonly head: Buffer };
  /** Takes the connection over for raw bytes (attach, exec): 101 when the client asked to upgrade, else 200. */
  hijack(contentType: string): Duplex;
}

/** Docker's reading of a boolean query value: absent, '', 0, no, false, none are false. */
export function queryBool(query: URLSearchParams, name: string, fallback = false): boolean {
  const value = query.get(name);
  if (value === null) return fallback;
  return !['', '0', 'no', 'false', 'none'].includes(value.trim().toLowerCase());
}

export function queryInt(query: URLSearchParams, name: string): number | undefined {
  const value = query.get(name);
  if (value === null || value === '') return undefined;
  if (!/^-?\d+$/.test(value)) {
    throw invalidParameter(`strconv.Atoi: parsing ${JSON.stringify(value)}: invalid syntax`);
  }
  return Number(value);
}

/** Filters as every list operation takes them: `{"label":["a=b"]}` or, from old clients, `{"label":{"a=b":true}}`. */
export function queryFilters(query: URLSearchParams): Filters {
  const text = query.get('filters');
  const filters = new Map<string, readonly string[]>();
  if (!text) return filters;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw invalidParameter(`invalid filter: ${messageOf(error)}`);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw invalidParameter('invalid filter');
  for (const [key, entry] of Object.entries(value)) {
    if (Array.isArray(entry)) filters.set(key, entry.map(String));
    else if (typeof entry === 'object' && entry !== null) filters.set(key, Object.keys(entry));
    else throw invalidParameter('invalid filter');
  }
  return filters;
}

/** Reads a JSON body, with a limit so that no client can fill the memory. */
export async function readJson(body: AsyncIterable<Buffer>): Promise<unknown> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of body) {
    size += chunk.length;
    if (size > JSON_BODY_LIMIT) throw invalidParameter('request body is too large');
    chunks.push(chunk);
  }
  if (size === 0) return undefined;
  try {
    return JSON.parse(Buffer.concat(chunks).toString('utf8'));
  } catch (error) {
    throw invalidParameter(`invalid JSON: ${messageOf(error)}`);
  }
}
