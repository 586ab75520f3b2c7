/** Docker's "never", Go's zero time. */
export const ZERO_TIME = '0001-01-01T00:00:00Z';

/** A time as the API writes it: RFC 3339, UTC, nanosecond digits (true to the millisecond). */
export const apiTime = (ms: number = Date.now()): string => `${new Date(ms).toISOString().slice(0, -1)}000000Z`;

/** A duration as Docker's lists say it: "5 minutes", "About an hour" (go-units HumanDuration). */
export function humanDuration(ms: number): string {
  const seconds = Math.floor(ms / 1000);
  if (seconds < 1) return 'Less than a second';
  if (seconds === 1) return '1 second';
  if (seconds < 60) return `${seconds} seconds`;
  const minutes = Math.floor(seconds / 60);
  if (minutes === 1) return 'About a minute';
  if (minutes < 60) return `${minutes} minutes`;
  const hours = Math.round(seconds / 3600);
  if (hours === 1) return 'About an hour';
  if (hours < 48) return `${hours} hours`;
  if (hours < 24 * 7 * 2) return `${Math.floor(hours / 24)} days`;
  if (hours < 24 * 30 * 2) return `${Math.floor(hours / 24 / 7)} weeks`;
  if (hours < 24 * 365 * 2) return `${Math.floor(hours / 24 / 30)} months`;
  return `${Math.floor(hours / 24 / 365)} years`;
}
