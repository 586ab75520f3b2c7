import { invalidParameter } from '../errors.ts';

/** A repository and what of it is meant. */
export interface GitReference {
  /** As git takes it. */
  readonly remote: string;
  /** Branch, tag, full name of a reference, or a commit; empty: what the remote's HEAD says. */
  readonly ref: string;
  /** Folder in it; empty: all of it. */
  readonly subdir: string;
}

export const isUrl = (text: string): boolean => /^https?:\/\//.test(text);

/** A repository where a URL is asked for: by its scheme, or by `.git` at the end of the path. */
export const isGitUrl = (text: string): boolean =>
  /^(git|ssh):\/\//.test(text) || /^git@[^:/]+:/.test(text) || /^https?:\/\/[^#?]+\.git(#.*)?$/.test(text);

/** As above, where a word that is no URL can't be a file of the context: `remote` of a build. */
export const isGitRemote = (text: string): boolean =>
  isGitUrl(text) || text.startsWith('git@') || text.startsWith('github.com/');

/** `<repository>#<ref>:<folder>` (moby gitutils parseRemoteURL). */
export function parseGitUrl(text: string): GitReference {
  const hash = text.indexOf('#');
  const [address, fragment] = hash < 0 ? [text, ''] : [text.slice(0, hash), text.slice(hash + 1)];
  const remote = /^(git@|[a-z]+:\/\/)/.test(address) ? address : `https://${address}`;
  if (!remote.startsWith('git@') && !URL.canParse(remote)) {
    throw invalidParameter(`parse ${JSON.stringify(remote)}: invalid URL`);
  }
  const colon = fragment.indexOf(':');
  const [ref, subdir] = colon < 0 ? [fragment, ''] : [fragment.slice(0, colon), fragment.slice(colon + 1)];
  if (ref.startsWith('-')) throw invalidParameter(`invalid refspec: ${ref}`);
  return { remote, ref, subdir };
}
