const monotonicMicros = (): number => Math.floor(performance.now() * 1000);

let base = Date.now() * 1000 - monotonicMicros();
let lastMs = 0;
let prefix = '';

/**
 * The time now as RFC 3339 with nine decimals, UTC, as Docker stamps log lines; microseconds are true, the rest is zero.
 * Never goes backwards, except when the system clock itself was set (then it follows within 2 ms).
 */
export function preciseNow(): string {
  let micros = base + monotonicMicros();
  if (Math.abs(Math.floor(micros / 1000) - Date.now()) > 2) {
    base = Date.now() * 1000 - monotonicMicros();
    micros = base + monotonicMicros();
  }
  const ms = Math.floor(micros / 1000);
  if (ms !== lastMs) {
    lastMs = ms;
    prefix = new Date(ms).toISOString().slice(0, -1);
  }
  return `${prefix}${String(micros % 1000).padStart(3, '0')}000Z`;
}
