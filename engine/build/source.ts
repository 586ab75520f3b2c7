import { invalidParameter } from '../errors.ts';

/** A here-document of an instruction: `<<EOF`, `<<-EOF`, `<<"EOF"`. */
export interface Heredoc {
  readonly name: string;
  /** Variables in it are the build's to expand: the name was not quoted. */
  readonly expand: boolean;
  readonly content: string;
}

/** One instruction of a Dockerfile, its continuation lines joined, before its arguments are understood. */
export interface Statement {
  /** Upper case. */
  readonly keyword: string;
  /** As written. */
  readonly word: string;
  /** `--name=value` and `--name`, in order. */
  readonly flags: readonly string[];
  /** What follows the flags. */
  readonly rest: string;
  /** Keyword, flags and rest as one line, as progress and history show it. */
  readonly text: string;
  /** First and last line in the file, from 1. */
  readonly line: number;
  readonly endLine: number;
  readonly heredocs: readonly Heredoc[];
}

export interface Source {
  readonly name: string;
  readonly lines: readonly string[];
  readonly escapeChar: '\\' | '`';
  /** What `# check=` says. */
  readonly check: string;
  readonly statements: readonly Statement[];
}

const HEREDOC_KEYWORDS = ['RUN', 'COPY', 'ADD'];

/** An error at a place in the file: Docker's words first, then file:line with the line shown. */
export function errorAt(
  source: Pick<Source, 'name' | 'lines'>,
  at: Pick<Statement, 'line' | 'endLine'>,
  message: string,
) {
  return invalidParameter(`dockerfile parse error on line ${at.line}: ${message}\n${excerpt(source, at)}`);
}

/** `file:line` and the lines around, the instruction's own marked. */
export function excerpt(source: Pick<Source, 'name' | 'lines'>, at: Pick<Statement, 'line' | 'endLine'>): string {
  const [first, last] = [Math.max(1, at.line - 1), Math.min(source.lines.length, at.endLine + 1)];
  const shown: string[] = [];
  for (let number = first; number <= last; number++) {
    const mark = number >= at.line && number <= at.endLine ? '>>>' : '   ';
    shown.push(`${String(number).padStart(4)} | ${mark} ${source.lines[number - 1] ?? ''}`);
  }
  const rule = '-'.repeat(20);
  return `${source.name}:${at.line}\n${rule}\n${shown.join('\n')}\n${rule}`;
}

/**
 * Splits a Dockerfile into its instructions: directives, comments, continuation lines (with comments and empty lines
 * between them), here-documents, line ends of any kind.
 */
export function readSource(text: string, name = 'Dockerfile'): Source {
  const lines = text.replace(/^\uFEFF/, '').split(/\r?\n/);
  if (lines.at(-1) === '') lines.pop();
  const { escapeChar, check } = readDirectives(lines, name);
  const statements: Statement[] = [];
  const reader = new StatementReader(lines, escapeChar, name);
  for (let statement = reader.next(); statement; statement = reader.next()) statements.push(statement);
  if (statements.length === 0) throw invalidParameter('file with no instructions');
  return { name, lines, escapeChar, check, statements };
}

/** `# escape=` and its kind: only before anything else. `syntax` names another frontend: there is one here. */
function readDirectives(lines: readonly string[], name: string): Pick<Source, 'escapeChar' | 'check'> {
  const seen = new Map<string, string>();
  for (const [index, line] of lines.entries()) {
    const match = /^#\s*([a-zA-Z][a-zA-Z0-9]*)\s*=\s*(.+?)\s*$/.exec(line);
    const key = match?.[1]?.toLowerCase() ?? '';
    if (!['escape', 'syntax', 'check'].includes(key)) break;
    const at = { line: index + 1, endLine: index + 1 };
    if (seen.has(key)) throw errorAt({ name, lines }, at, `only one ${key} parser directive can be used`);
    const value = match?.[2] ?? '';
    if (key === 'escape' && value !== '\\' && value !== '`') {
      throw errorAt({ name, lines }, at, `invalid escape token '${value}' does not match \` or \\`);
    }
    seen.set(key, value);
  }
  return { escapeChar: (seen.get('escape') as '`' | undefined) ?? '\\', check: seen.get('check') ?? '' };
}

class StatementReader {
  readonly #lines: readonly string[];
  readonly #escapeChar: string;
  readonly #continued: RegExp;
  readonly #name: string;
  #at = 0;

  constructor(lines: readonly string[], escapeChar: '\\' | '`', name: string) {
    this.#lines = lines;
    this.#escapeChar = escapeChar;
    this.#name = name;
    this.#continued = escapeChar === '\\' ? /(^|[^\\])\\[ \t]*$/ : /(^|[^`])`[ \t]*$/;
  }

  next(): Statement | undefined {
    while (this.#at < this.#lines.length && isBlank(this.#lines[this.#at] as string)) this.#at++;
    if (this.#at >= this.#lines.length) return undefined;
    const line = this.#at + 1;
    let text = '';
    for (let first = true; this.#at < this.#lines.length; first = false) {
      const part = this.#lines[this.#at++] as string;
      if (!first && isBlank(part)) continue;
      const more = this.#continued.test(part);
      text += first ? part.trimStart() : part;
      if (!more) break;
      text = text.replace(this.#continued, '$1');
    }
    const statement = this.#parse(text, line);
    const heredocs = this.#heredocs(statement.keyword, statement.rest, line);
    return { ...statement, endLine: this.#at, heredocs };
  }

  #parse(text: string, line: number): Omit<Statement, 'heredocs' | 'endLine'> {
    const [, word = '', tail = ''] = /^(\S+)\s*([\s\S]*)$/.exec(text.trim()) ?? [];
    const keyword = word.toUpperCase();
    const { flags, rest } = splitFlags(tail, this.#escapeChar);
    return { keyword, word, flags, rest, text: [keyword, ...flags, rest].filter(Boolean).join(' '), line };
  }

  /** Reads the bodies of the here-documents a line opens. */
  #heredocs(keyword: string, rest: string, line: number): Heredoc[] {
    const [inner] = keyword === 'ONBUILD' ? rest.split(/\s/, 1) : [keyword];
    if (!HEREDOC_KEYWORDS.includes((inner ?? '').toUpperCase()) || !rest.includes('<<')) return [];
    if (rest.trimStart().startsWith('[')) return [];
    const found: Heredoc[] = [];
    for (const word of splitWords(rest, this.#escapeChar)) {
      const opening = parseHeredoc(word);
      if (!opening) continue;
      const body: string[] = [];
      for (;;) {
        if (this.#at >= this.#lines.length) {
          const at = { line, endLine: line };
          throw errorAt({ name: this.#name, lines: this.#lines }, at, 'unterminated heredoc');
        }
        const raw = this.#lines[this.#at++] as string;
        const text = opening.chomp ? raw.replace(/^\t+/, '') : raw;
        if (text === opening.name) break;
        body.push(`${text}\n`);
      }
      found.push({ name: opening.name, expand: opening.expand, content: body.join('') });
    }
    return found;
  }
}

const isBlank = (line: string): boolean => /^\s*(#.*)?$/.test(line);

/** `<<EOF` as a word of its own, perhaps with a descriptor before it. */
export function parseHeredoc(word: string): { name: string; expand: boolean; chomp: boolean } | undefined {
  const match = /^\d*<<(-?)\s*([^<\s]+)$/.exec(word);
  if (!match) return undefined;
  const raw = match[2] as string;
  const name = raw.replace(/["'\\]/g, '');
  return name === '' ? undefined : { name, expand: raw === name, chomp: match[1] === '-' };
}

/** `--flag` words at the front of the arguments. */
function splitFlags(text: string, escapeChar: string): { flags: string[]; rest: string } {
  const flags: string[] = [];
  let rest = text;
  while (rest.startsWith('--')) {
    const word = splitWords(rest, escapeChar)[0] as string;
    rest = rest.slice(word.length).trimStart();
    if (word === '--') break;
    flags.push(word);
  }
  return { flags, rest };
}

/** Words at unquoted whitespace; quotes and escapes stay in them. */
export function splitWords(text: string, escapeChar = '\\'): string[] {
  const words: string[] = [];
  let word = '';
  let quote = '';
  let inWord = false;
  for (let index = 0; index < text.length; index++) {
    const char = text[index] as string;
    if (quote === '' && /\s/.test(char)) {
      if (inWord) words.push(word);
      word = '';
      inWord = false;
      continue;
    }
    inWord = true;
    word += char;
    if (char === escapeChar && quote !== "'") {
      word += text[++index] ?? '';
      continue;
    }
    if (quote === '' && (char === '"' || char === "'")) quote = char;
    else if (char === quote) quote = '';
  }
  if (inWord) words.push(word);
  return words;
}
