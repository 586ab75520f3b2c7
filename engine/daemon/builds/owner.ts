import { invalidParameter } from '../../errors.ts';
import type { Owner } from './layer-builder.ts';
import { bytesOf, resolve, type SourceTree } from './source-tree.ts';

/** `--chown=user[:group]`: names are looked up in the image's own passwd and group; a lone user is the group as well. */
export async function resolveOwner(tree: SourceTree, text: string): Promise<Owner> {
  const [user = '', group = user] = text.split(':', 2);
  return { uid: await lookUp(tree, 'etc/passwd', user, 'user'), gid: await lookUp(tree, 'etc/group', group, 'group') };
}

async function lookUp(tree: SourceTree, file: string, name: string, kind: 'user' | 'group'): Promise<number> {
  const number = Number(name);
  if (/^\d+$/.test(name) && number < 2 ** 31) return number;
  const at = resolve(tree, bytesOf(file));
  const pieces: Buffer[] = [];
  if (at !== undefined) for await (const chunk of tree.read(at)) pieces.push(Buffer.from(chunk));
  for (const line of Buffer.concat(pieces).toString('utf8').split('\n')) {
    const fields = line.split(':');
    if (fields[0] === name && /^\d+$/.test(fields[2] ?? '')) return Number(fields[2]);
  }
  const id = kind === 'user' ? 'uid' : 'gid';
  throw invalidParameter(
    `unable to convert uid/gid chown string to host mapping: can't find ${id} for ${kind} ${name}: no such ${kind}: ${name}`,
  );
}
