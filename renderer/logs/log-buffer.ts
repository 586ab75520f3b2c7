import type { LogChunk } from '../../electron/contract/engine.ts';
import { AnsiParser, type Piece } from './ansi.ts';

export interface LogLine {
  /** unique; not in order once earlier lines were loaded */
  number: number;
  stream: LogChunk['stream'];
  /** which of the containers shown together */
  source: number;
  /** RFC 3339 with nanoseconds: these compare as text */
  time: string;
  pieces: Piece[];
  /** without colours, for search and copying */
  text: string;
}

/** A line longer than this is cut into several: one line without an end must not stop the page. */
const LONGEST_LINE = 8_192;
const TIME = /^(\d{4}-\d\d-\d\dT[\d:.]+(?:Z|[+-]\d\d:\d\d)) ?/;

interface Open {
  text: string;
  time: string;
  parser: AnsiParser;
}

/** Chunks with timestamps → lines; keeps the last `limit` of them. Not reactive: the view asks when it paints. */
export class LogBuffer {
  lines: LogLine[] = [];
  /** lines that were dropped from the beginning */
  dropped = 0;
  #limit: number;
  #next = 1;
  #open = new Map<string, Open>();
  #disordered = false;

  constructor(limit: number) {
    this.#limit = limit;
  }

  add(chunk: LogChunk, source = 0): void {
    const open = this.#openOf(chunk.stream, source);
    // A record of the log begins with its time, also one that goes on with a line.
    let { text } = chunk;
    if (open.text) text = text.replace(TIME, '');
    const parts = (open.text + text).split('\n');
    open.text = parts.pop() ?? '';
    for (const part of parts) this.#put(chunk.stream, source, open, part);
    while (open.text.length > LONGEST_LINE) {
      this.#put(chunk.stream, source, open, open.text.slice(0, LONGEST_LINE));
      open.text = open.text.slice(LONGEST_LINE);
    }
    const excess = this.lines.length - this.#limit;
    // Not for every line: what is dropped from a long array moves all that stays.
    if (excess > this.#limit / 20) {
      this.sort();
      this.lines.splice(0, excess);
      this.dropped += excess;
    }
  }

  /** The log has ended: what was begun is a line as well. */
  finish(source = 0): void {
    for (const stream of ['stdout', 'stderr'] as const) {
      const open = this.#openOf(stream, source);
      if (open.text) this.#put(stream, source, open, open.text);
      open.text = '';
    }
  }

  clear(): void {
    this.lines = [];
    this.dropped = 0;
  }

  /** Lines of several containers come in the order of the connections, not of time. */
  sort(): void {
    if (!this.#disordered) return;
    this.#disordered = false;
    this.lines.sort((a, b) => (a.time < b.time ? -1 : a.time > b.time ? 1 : 0));
  }

  /** Puts an earlier part of the log before this one, which may then grow by as much. */
  prepend(earlier: LogBuffer): void {
    earlier.sort();
    for (const line of earlier.lines) line.number = -this.#next++;
    this.#limit += earlier.lines.length;
    this.dropped = Math.max(0, this.dropped - earlier.lines.length);
    this.lines = [...earlier.lines, ...this.lines];
  }

  #openOf(stream: LogChunk['stream'], source: number): Open {
    const key = `${source} ${stream}`;
    const found = this.#open.get(key) ?? { text: '', time: '', parser: new AnsiParser() };
    this.#open.set(key, found);
    return found;
  }

  #put(stream: LogChunk['stream'], source: number, open: Open, raw: string): void {
    const [head = '', time = open.time] = TIME.exec(raw) ?? [];
    open.time = time;
    const text = raw.slice(head.length);
    for (let at = 0; at === 0 || at < text.length; at += LONGEST_LINE) {
      const pieces = open.parser.line(text.slice(at, at + LONGEST_LINE));
      const plain = pieces.map((piece) => piece.text).join('');
      const last = this.lines.at(-1);
      if (last && last.time > time) this.#disordered = true;
      this.lines.push({ number: this.#next++, stream, source, time, pieces, text: plain });
    }
  }
}
