import type { EngineLink } from '../engine-link.ts';

/** What the services are written for; an older engine is asked in its own version. */
const NEWEST = '1.51';
const OLDEST = '1.40';

/** Asks the engine for its version, and makes the link speak the newest that both know. Throws TooOld. */
export async function negotiated(
  link: EngineLink,
  signal: AbortSignal,
): Promise<{ Version: string; ApiVersion: string }> {
  const modem = link.docker.modem as { version?: string };
  modem.version = undefined;
  const version = await link.version(signal);
  if (typeof version?.ApiVersion !== 'string') throw new SyntaxError('it does not answer as a Docker engine does');
  if (compare(version.ApiVersion, OLDEST) < 0) throw new TooOld(version.ApiVersion);
  const common = compare(version.ApiVersion, NEWEST) < 0 ? version.ApiVersion : NEWEST;
  modem.version = `v${common}`;
  link.http.version = common;
  return version;
}

/** The engine speaks only versions that nobody here speaks any more. */
export class TooOld extends Error {
  constructor(spoken: string) {
    super(`the engine speaks version ${spoken} of the API, and ${OLDEST} is needed`);
  }
}

/** `1.9` comes before `1.10`. */
export function compare(a: string, b: string): number {
  const parts = (text: string) => text.split('.').map(Number);
  const [left, right] = [parts(a), parts(b)];
  return (left[0] ?? 0) - (right[0] ?? 0) || (left[1] ?? 0) - (right[1] ?? 0);
}
