import { invalidParameter, systemError } from '../errors.ts';
import { readInRoot } from '../linux/rootfs.ts';

export interface ProcessUser {
  readonly uid: number;
  readonly gid: number;
  readonly additionalGids: readonly number[];
  /** Home directory from the container's passwd, '/' when it has none. */
  readonly home: string;
}

interface PasswdEntry {
  name: string;
  uid: number;
  gid: number;
  home: string;
}

interface GroupEntry {
  name: string;
  gid: number;
  members: string[];
}

const LARGEST_ID = 2 ** 31 - 1;

function rows(text: string | undefined): string[][] {
  return (text ?? '')
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line && !line.startsWith('#'))
    .map((line) => line.split(':'));
}

const readPasswd = (root: string): PasswdEntry[] =>
  rows(readInRoot(root, '/etc/passwd')).map((f) => ({
    name: f[0] ?? '',
    uid: Number(f[2]),
    gid: Number(f[3]),
    home: f[5] ?? '',
  }));

const readGroup = (root: string): GroupEntry[] =>
  rows(readInRoot(root, '/etc/group')).map((f) => ({
    name: f[0] ?? '',
    gid: Number(f[2]),
    members: (f[3] ?? '').split(',').filter(Boolean),
  }));

const isNumber = (text: string): boolean => /^\d+$/.test(text);

/**
 * Who a container's process runs as: `user[:group]`, names or numbers, looked up in the container's own passwd and group;
 * with supplementary groups as Docker has them (the user's memberships, unless a group was named, plus `groupAdd`).
 */
export function resolveUser(root: string, text: string, groupAdd: readonly string[] = []): ProcessUser {
  const [userText = '', groupText] = text.split(':', 2);
  const passwd = readPasswd(root);
  const groups = readGroup(root);
  const entry = userText === '' ? passwd.find((p) => p.uid === 0) : findUser(passwd, userText);
  if (!entry && userText !== '' && !isNumber(userText)) {
    throw systemError(`unable to find user ${userText}: no matching entries in passwd file`);
  }
  const uid = entry?.uid ?? Number(userText || 0);
  if (uid > LARGEST_ID) throw invalidParameter('uids and gids must be in range 0-2147483647');
  const gid = groupText ? findGroup(groups, groupText) : (entry?.gid ?? 0);
  const additional = new Set<number>();
  if (!groupText && entry) {
    for (const group of groups) if (group.members.includes(entry.name)) additional.add(group.gid);
  }
  for (const name of groupAdd) additional.add(findGroup(groups, name));
  additional.add(gid);
  return { uid, gid, additionalGids: [...additional], home: entry?.home || '/' };
}

function findUser(passwd: readonly PasswdEntry[], text: string): PasswdEntry | undefined {
  return (
    passwd.find((p) => p.name === text) ?? (isNumber(text) ? passwd.find((p) => p.uid === Number(text)) : undefined)
  );
}

function findGroup(groups: readonly GroupEntry[], text: string): number {
  const named = groups.find((g) => g.name === text);
  if (named) return named.gid;
  if (!isNumber(text)) throw systemError(`Unable to find group ${text}: no matching entries in group file`);
  if (Number(text) > LARGEST_ID) throw invalidParameter('uids and gids must be in range 0-2147483647');
  return Number(text);
}
