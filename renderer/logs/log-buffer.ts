import type { LogChunk } from '../../electron/contract/engine.ts';
import { AnsiParser, type Piece } from './ansi.ts';

export interface LogLine {
  number: number;
  stream: LogChunk['stream'];
  pieces: Piece[];
  /** without colours, for search and copying */
  text: string;
}

/** A line longer than this is cut into several: one line without an end must not stop the page. */
const LONGEST_LINE = 8_192;

/** Chunks → lines; keeps the last `limit` of them. Not reactive: the view asks when it paints. */
export class LogBuffer {
  lines: LogLine[] = [];
  /** lines that were dropped from the beginning */
  dropped = 0;
  #limit: number;
  #next = 1;
  #open = { stdout: '', stderr: '' };
  #parsers = { stdout: new AnsiParser(), stderr: new AnsiParser() };

  constructor(limit: number) {
    this.#limit = limit;
  }

  add({ stream, text }: LogChunk): void {
    const parts = (this.#open[stream] + text).split('\n');
    let open = parts.pop() ?? '';
    for (const part of parts) this.#put(stream, part);
    while (open.length > LONGEST_LINE) {
      this.#put(stream, open.slice(0, LONGEST_LINE));
      open = open.slice(LONGEST_LINE);
    }
    this.#open[stream] = open;
    const excess = this.lines.length - this.#limit;
    if (excess > 0) {
      this.lines.splice(0, excess);
      this.dropped += excess;
    }
  }

  /** The log has ended: what was begun is a line as well. */
  finish(): void {
    for (const stream of ['stdout', 'stderr'] as const) {
      if (this.#open[stream]) this.#put(stream, this.#open[stream]);
      this.#open[stream] = '';
    }
  }

  clear(): void {
    this.lines = [];
  }

  #put(stream: LogChunk['stream'], raw: string): void {
    for (let at = 0; at === 0 || at < raw.length; at += LONGEST_LINE) {
      const pieces = this.#parsers[stream].line(raw.slice(at, at + LONGEST_LINE));
      this.lines.push({ number: this.#next++, stream, pieces, text: pieces.map((piece) => piece.text).join('') });
    }
  }
}
