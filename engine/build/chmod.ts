import { invalidParameter } from '../errors.ts';

/** The mode a file gets from the one it has. */
export type ModeChange = (mode: number, isDirectory: boolean) => number;

const SHIFTS: Readonly<Record<string, number>> = { u: 6, g: 3, o: 0 };
const BITS: Readonly<Record<string, number>> = { r: 4, w: 2, x: 1 };
const CLAUSE = /^([ugoa]*)((?:[-+=](?:[ugo]|[rwxXst]*))+)$/;

/** `--chmod`: octal, or symbolic as for chmod(1) without a umask (`u=rwX,go=rX`). */
export function parseChmod(text: string): ModeChange {
  if (/^[0-7]+$/.test(text) && Number.parseInt(text, 8) <= 0o7777) return () => Number.parseInt(text, 8);
  const clauses = text.split(',').map((part) => CLAUSE.exec(part));
  const changes = clauses.flatMap((clause) => (clause ? clauseChanges(clause[1] ?? '', clause[2] ?? '') : []));
  if (!clauses.every(Boolean)) {
    throw invalidParameter(`invalid chmod parameter: '${text}'. it should be octal string and between 0 and 07777`);
  }
  return (mode, isDirectory) => changes.reduce((before, change) => change(before, isDirectory), mode);
}

function clauseChanges(classes: string, actions: string): ModeChange[] {
  const who = classes === '' || classes.includes('a') ? 'ugo' : classes;
  return [...actions.matchAll(/([-+=])([ugo]|[rwxXst]*)/g)].map(([, operator, permissions = '']) => {
    const mask = [...who].reduce((sum, name) => sum | (7 << (SHIFTS[name] ?? 0)), 0) | specialBits('st', who);
    return (mode, isDirectory) => {
      const bits = bitsOf(permissions, who, mode, isDirectory);
      if (operator === '-') return mode & ~bits;
      // As chmod(1) does, a directory keeps its set-id bits where they are not named.
      const kept = isDirectory ? mode & 0o6000 : 0;
      return operator === '+' ? mode | bits : (mode & ~mask) | bits | kept;
    };
  });
}

function bitsOf(permissions: string, who: string, mode: number, isDirectory: boolean): number {
  const copied = SHIFTS[permissions];
  let one = copied === undefined ? 0 : (mode >> copied) & 7;
  for (const name of copied === undefined ? permissions : '') {
    one |= BITS[name] ?? (name === 'X' && (isDirectory || (mode & 0o111) !== 0) ? 1 : 0);
  }
  const bits = [...who].reduce((sum, name) => sum | (one << (SHIFTS[name] ?? 0)), 0);
  return copied === undefined ? bits | specialBits(permissions, who) : bits;
}

/** set-uid for u, set-gid for g, sticky for all. */
const specialBits = (permissions: string, who: string): number =>
  (permissions.includes('s') ? (who.includes('u') ? 0o4000 : 0) | (who.includes('g') ? 0o2000 : 0) : 0) |
  (permissions.includes('t') && who === 'ugo' ? 0o1000 : 0);
