import type { OutputName } from './log-writer.ts';

/** How a record is written: one line of the file. `tail` is what the records of one chunk of output share. */
export interface LogFormat {
  tail(stream: OutputName, time: string): string;
  /** @param text one line with its newline, or a piece of a longer one without */
  record(text: string, tail: string): string;
}

/** Docker's json-file: `{"log":"…\n","stream":"stdout","attrs":{…},"time":"…"}`. */
export function jsonFormat(attributes: Readonly<Record<string, string>> | undefined): LogFormat {
  const attrs = attributes ? `,"attrs":${JSON.stringify(attributes)}` : '';
  return {
    tail: (stream, time) => `,"stream":"${stream}"${attrs},"time":"${time}"}\n`,
    record: (text, tail) => `{"log":${JSON.stringify(text)}${tail}`,
  };
}

/**
 * The local driver's: `o<time> text` for standard output, `e` for the error output; a capital letter says that the line
 * goes on in the next record. About half as long as JSON, and nothing needs to be escaped.
 */
export const localFormat: LogFormat = {
  tail: (stream, time) => `${stream === 'stdout' ? 'o' : 'e'}${time} `,
  record: (text, tail) =>
    text.endsWith('\n') ? `${tail}${text}` : `${tail[0]!.toUpperCase()}${tail.slice(1)}${text}\n`,
};
