import { invalidParameter } from '../errors.ts';

const UNITS: Record<string, number> = { ns: 1e-6, us: 1e-3, µs: 1e-3, ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

/**
 * The `until` of filters: a Unix time in seconds, an RFC 3339 time or date (without zone: UTC), or a Go duration before
 * now (moby api/types/time.GetTimestamp). Returns milliseconds since the epoch.
 */
export function parseUntil(text: string, now = Date.now()): number {
  const duration = parseGoDuration(text);
  if (duration !== undefined) return now - duration;
  if (/^\d+(\.\d+)?$/.test(text)) return Number(text) * 1000;
  if (/^\d{4}-\d{2}-\d{2}/.test(text)) {
    const zoned = /T/.test(text) && !/(Z|[+-]\d{2}:\d{2})$/.test(text) ? `${text}Z` : text;
    const at = Date.parse(zoned);
    if (!Number.isNaN(at)) return at;
  }
  throw invalidParameter(`failed to parse value as time or duration: ${JSON.stringify(text)}`);
}

/** `1h30m` in milliseconds; undefined when the text is no duration. */
export function parseGoDuration(text: string): number | undefined {
  if (!/^[+-]?(\d+(\.\d*)?(ns|us|µs|ms|s|m|h))+$/.test(text)) return undefined;
  let total = 0;
  for (const [, value, unit] of text.matchAll(/(\d+(?:\.\d*)?)(ns|us|µs|ms|s|m|h)/g)) {
    total += Number(value) * (UNITS[unit as string] as number);
  }
  return text.startsWith('-') ? -total : total;
}

/** Milliseconds since the epoch of an image's RFC 3339 time; 0 when it has none. */
export const timeOf = (created: string): number => {
  const at = Date.parse(created);
  return Number.isNaN(at) ? 0 : at;
};
