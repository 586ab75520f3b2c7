/**
 * skiffd's own log: one line per record on stderr, logfmt as dockerd writes it
 * (`time="…" level=info msg="…" container=…`), so that people can grep it the same way.
 */
const LEVELS = { debug: 0, info: 1, warning: 2, error: 3 } as const;
export type LogLevel = keyof typeof LEVELS;

let threshold: number = LEVELS.info;

export function setLogLevel(level: LogLevel): void {
  threshold = LEVELS[level];
}

function write(level: LogLevel, msg: string, fields: Record<string, unknown>): void {
  if (LEVELS[level] < threshold) return;
  let line = `time=${JSON.stringify(new Date().toISOString())} level=${level} msg=${JSON.stringify(msg)}`;
  for (const [key, value] of Object.entries(fields)) {
    const text = value instanceof Error ? value.message : String(value);
    line += ` ${key}=${/^[\w./:@-]+$/.test(text) ? text : JSON.stringify(text)}`;
  }
  process.stderr.write(`${line}\n`);
}

export const log = {
  debug: (msg: string, fields: Record<string, unknown> = {}) => write('debug', msg, fields),
  info: (msg: string, fields: Record<string, unknown> = {}) => write('info', msg, fields),
  warn: (msg: string, fields: Record<string, unknown> = {}) => write('warning', msg, fields),
  error: (msg: string, fields: Record<string, unknown> = {}) => write('error', msg, fields),
};
