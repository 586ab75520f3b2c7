import { invalidParameter } from '../errors.ts';
import { literal } from './ignore.ts';

export interface ExpandOptions {
  /** `\` or `` ` ``: the file's escape character. */
  readonly escape?: string;
  /** Leaves quotes and escapes as they are: here-documents. */
  readonly raw?: boolean;
  /** Names that were asked for are added: what an instruction depends on. */
  readonly used?: Set<string>;
}

type Variables = ReadonlyMap<string, string>;

/**
 * Replaces variables in a word and takes its quotes away, as BuildKit's shell lexer does: `$a`, `${a}`, `${a:-b}` with
 * `-`, `+`, `?` (with and without colon), `${a#p}`, `##`, `%`, `%%`, `${a/p/r}` and `//`. Single quotes keep everything.
 */
export function expand(word: string, variables: Variables, options: ExpandOptions = {}): string {
  return new Expander(word, variables, options).run();
}

class Expander {
  readonly #text: string;
  readonly #variables: Variables;
  readonly #escape: string;
  readonly #raw: boolean;
  readonly #used: Set<string> | undefined;
  #at = 0;

  constructor(text: string, variables: Variables, options: ExpandOptions) {
    this.#text = text;
    this.#variables = variables;
    this.#escape = options.escape ?? '\\';
    this.#raw = options.raw ?? false;
    this.#used = options.used;
  }

  run(): string {
    return this.#until('');
  }

  /** Up to an unquoted `stop`, which is not consumed. */
  #until(stop: string, quoted = false): string {
    let out = '';
    while (this.#at < this.#text.length) {
      const char = this.#text[this.#at] as string;
      if (char === stop) return out;
      if (char === '$') out += this.#dollar();
      else if (char === this.#escape) out += this.#escaped(quoted);
      else if (char === "'" && !quoted && !this.#raw) out += this.#single();
      else if (char === '"' && !quoted && !this.#raw) {
        this.#at++;
        out += this.#until('"', true);
        if (this.#text[this.#at] !== '"')
          throw invalidParameter('unexpected end of statement while looking for matching double-quote');
        this.#at++;
      } else {
        out += char;
        this.#at++;
      }
    }
    if (stop === '}') throw invalidParameter('syntax error: missing closing brace in substitution');
    return out;
  }

  #escaped(quoted: boolean): string {
    const next = this.#text[this.#at + 1];
    this.#at += 2;
    if (next === undefined) return this.#escape;
    if (this.#raw) return this.#escape + next;
    // In double quotes only what would mean something can be escaped.
    if (quoted && next !== '"' && next !== '$' && next !== this.#escape) return this.#escape + next;
    return next;
  }

  #single(): string {
    const end = this.#text.indexOf("'", this.#at + 1);
    if (end < 0) throw invalidParameter('unexpected end of statement while looking for matching single-quote');
    const out = this.#text.slice(this.#at + 1, end);
    this.#at = end + 1;
    return out;
  }

  #dollar(): string {
    this.#at++;
    if (this.#text[this.#at] !== '{') {
      const name = /^([A-Za-z_][A-Za-z0-9_]*|[0-9@*#?$!-])/.exec(this.#text.slice(this.#at))?.[0];
      if (name === undefined) return '$';
      this.#at += name.length;
      return this.#value(name) ?? '';
    }
    this.#at++;
    const name = /^([A-Za-z_][A-Za-z0-9_]*|[0-9@*#?$!-])/.exec(this.#text.slice(this.#at))?.[0];
    if (name === undefined) throw invalidParameter('syntax error: bad substitution');
    this.#at += name.length;
    const value = this.#modified(name);
    if (this.#text[this.#at] !== '}') throw invalidParameter('syntax error: missing closing brace in substitution');
    this.#at++;
    return value;
  }

  #modified(name: string): string {
    const value = this.#value(name);
    const rest = this.#text.slice(this.#at);
    if (rest.startsWith('}')) return value ?? '';
    const operator = /^(:?[-+?]|##?|%%?|\/\/?)/.exec(rest)?.[0];
    if (operator === undefined) {
      throw invalidParameter(`unsupported modifier (${rest.slice(0, rest[0] === ':' ? 2 : 1)}) in substitution`);
    }
    this.#at += operator.length;
    if (operator.startsWith('/')) return this.#replace(value, operator === '//');
    const argument = this.#until('}');
    const present = operator.startsWith(':') ? value !== undefined && value !== '' : value !== undefined;
    switch (operator.at(-1)) {
      case '-':
        return present ? (value as string) : argument;
      case '+':
        return present ? argument : '';
      case '?':
        if (present) return value as string;
        throw invalidParameter(`${name}: ${argument || 'not allowed to be unset'}`);
      case '#':
        return trimPrefix(value ?? '', argument, operator === '##');
      default:
        return trimSuffix(value ?? '', argument, operator === '%%');
    }
  }

  #replace(value: string | undefined, all: boolean): string {
    const pattern = this.#until('/');
    if (this.#text[this.#at] !== '/') throw invalidParameter('syntax error: missing / in substitution');
    this.#at++;
    const replacement = this.#until('}');
    if (value === undefined) return '';
    return value.replace(new RegExp(shellPattern(pattern, true), all ? 'gs' : 's'), () => replacement);
  }

  #value(name: string): string | undefined {
    this.#used?.add(name);
    return this.#variables.get(name);
  }
}

const candidates = (length: number, longest: boolean): number[] => {
  const sizes = Array.from({ length: length + 1 }, (_unused, size) => size);
  return longest ? sizes.reverse() : sizes;
};

function trimPrefix(value: string, pattern: string, longest: boolean): string {
  const matches = new RegExp(`^(?:${shellPattern(pattern, true)})$`, 's');
  const size = candidates(value.length, longest).find((length) => matches.test(value.slice(0, length)));
  return size === undefined ? value : value.slice(size);
}

function trimSuffix(value: string, pattern: string, longest: boolean): string {
  const matches = new RegExp(`^(?:${shellPattern(pattern, true)})$`, 's');
  const size = candidates(value.length, longest).find((length) => matches.test(value.slice(value.length - length)));
  return size === undefined ? value : value.slice(0, value.length - size);
}

/** `*` and `?` of a shell pattern as a regular expression. */
function shellPattern(pattern: string, greedy: boolean): string {
  let out = '';
  for (let index = 0; index < pattern.length; index++) {
    const char = pattern[index] as string;
    if (char === '*') out += greedy ? '.*' : '.*?';
    else if (char === '?') out += '.';
    else if (char === '\\' && index + 1 < pattern.length) out += literal(pattern[++index] as string);
    else out += literal(char);
  }
  return out;
}
