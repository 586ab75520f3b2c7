import { invalidParameter } from '../errors.ts';

/** Docker Engine API versions this engine speaks; only minors differ. */
export const API = { major: 1, min: 24, max: 51 } as const;

export const versionText = (minor: number): string => `${API.major}.${minor}`;

/** Splits `/v1.44/containers/json` into the path and the minor the client asks for; without a prefix it is the newest. */
export function splitVersion(path: string): { path: string; minor: number } {
  const match = /^\/v(\d+)\.(\d+)(\/.*)?$/.exec(path);
  if (!match) return { path, minor: API.max };
  const [major, minor] = [Number(match[1]), Number(match[2])];
  const asked = `${major}.${minor}`;
  if (major < API.major || (major === API.major && minor < API.min)) {
    throw invalidParameter(
      `client version ${asked} is too old. Minimum supported API version is ${versionText(API.min)}, please upgrade your client to a newer version`,
    );
  }
  if (major > API.major || minor > API.max) {
    throw invalidParameter(
      `client version ${asked} is too new. Maximum supported API version is ${versionText(API.max)}`,
    );
  }
  return { path: match[3] ?? '/', minor };
}
