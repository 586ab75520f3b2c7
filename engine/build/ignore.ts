import { invalidParameter } from '../errors.ts';

/**
 * Patterns of a .dockerignore: Go's filepath.Match, `**` for any number of directories, `!` for exceptions, `#` comments.
 * The last pattern that matches a path or one of its parents decides (moby patternmatcher).
 */
export class IgnorePatterns {
  readonly #patterns: { readonly matches: RegExp; readonly exclusion: boolean }[] = [];

  constructor(text: string) {
    for (const line of text.replace(/^\uFEFF/, '').split(/\r?\n/)) {
      if (line.startsWith('#')) continue;
      let pattern = line.trim();
      if (pattern === '') continue;
      const exclusion = pattern.startsWith('!');
      if (exclusion) pattern = pattern.slice(1).trim();
      if (pattern === '') throw invalidParameter('failed to parse .dockerignore: illegal exclusion pattern: "!"');
      const clean = cleanPattern(pattern);
      if (clean === '' || clean === '.') continue;
      this.#patterns.push({ matches: compilePattern(clean), exclusion });
    }
  }

  get empty(): boolean {
    return this.#patterns.length === 0;
  }

  /** @param path relative, with slashes */
  ignores(path: string): boolean {
    let ignored = false;
    const parents = parentsOf(path);
    for (const { matches, exclusion } of this.#patterns) {
      if (exclusion !== ignored) continue;
      if (matches.test(path) || parents.some((parent) => matches.test(parent))) ignored = !exclusion;
    }
    return ignored;
  }
}

function parentsOf(path: string): string[] {
  const parents: string[] = [];
  for (let slash = path.indexOf('/'); slash >= 0; slash = path.indexOf('/', slash + 1))
    parents.push(path.slice(0, slash));
  return parents;
}

/** filepath.Clean, and a leading slash means the same as none. */
function cleanPattern(pattern: string): string {
  const parts: string[] = [];
  for (const part of pattern.split('/')) {
    if (part === '' || part === '.') continue;
    if (part === '..' && parts.length > 0 && parts.at(-1) !== '..') parts.pop();
    else if (part !== '..') parts.push(part);
  }
  return parts.join('/');
}

/** A Go filepath.Match pattern, anchored; `**` crosses directories. Throws on a malformed one. */
export function compilePattern(pattern: string): RegExp {
  let out = '';
  for (let index = 0; index < pattern.length; index++) {
    const char = pattern[index] as string;
    if (char === '*' && pattern[index + 1] === '*') {
      index++;
      if (pattern[index + 1] === '/') {
        index++;
        out += '(?:.*/)?';
      } else out += '.*';
    } else if (char === '*') out += '[^/]*';
    else if (char === '?') out += '[^/]';
    else if (char === '[') {
      const close = classEnd(pattern, index);
      out += characterClass(pattern.slice(index + 1, close));
      index = close;
    } else if (char === '\\') {
      if (index + 1 >= pattern.length) throw syntaxError(pattern);
      out += literal(pattern[++index] as string);
    } else out += literal(char);
  }
  try {
    return new RegExp(`^${out}$`, 's');
  } catch {
    throw syntaxError(pattern);
  }
}

/** A character that means itself in a regular expression. */
export const literal = (char: string): string => char.replace(/[\\^$.*+?()[\]{}|/-]/g, '\\$&');

const syntaxError = (pattern: string) =>
  invalidParameter(`error checking context: syntax error in pattern: ${JSON.stringify(pattern)}`);

function classEnd(pattern: string, start: number): number {
  for (let index = start + 1; index < pattern.length; index++) {
    if (pattern[index] === '\\') index++;
    else if (pattern[index] === ']' && index > start + 1) return index;
  }
  throw syntaxError(pattern);
}

function characterClass(body: string): string {
  const negated = body.startsWith('^');
  const inner = (negated ? body.slice(1) : body).replace(/[[\]]/g, '\\$&');
  return `(?!/)[${negated ? '^' : ''}${inner}]`;
}
