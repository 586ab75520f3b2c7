import { messageOf } from '../errors.ts';
import { parseFrom, parseHealthcheck } from './instruction-forms.ts';
import { errorAt, type Heredoc, parseHeredoc, type Source, type Statement, splitWords } from './source.ts';

/** Shell form is one text for the shell; exec form a list of arguments. */
export type CommandLine =
  | { readonly form: 'shell'; readonly text: string }
  | { readonly form: 'exec'; readonly args: readonly string[] };

export type Pair = readonly [name: string, value: string];

export interface HealthOptions {
  /** Nanoseconds. */
  readonly interval: number;
  readonly timeout: number;
  readonly startPeriod: number;
  readonly startInterval: number;
  readonly retries: number;
}

/** What COPY and ADD share. Flags are as written, before variables are expanded. */
export interface CopyParts {
  readonly sources: readonly string[];
  readonly destination: string;
  readonly heredocs: readonly Heredoc[];
  readonly from?: string;
  readonly chown?: string;
  readonly chmod?: string;
  readonly link: boolean;
  readonly parents: boolean;
  readonly exclude: readonly string[];
  readonly checksum?: string;
  readonly keepGitDir: boolean;
  /** Whether local archives are unpacked: undefined is ADD's own rule. */
  readonly unpack?: boolean;
}

/** One member for each kind, so that a `kind` tells exactly one. */
type Each<K extends string, T> = K extends string ? { readonly kind: K } & T : never;

/** An instruction, understood as far as that goes without the values of variables. */
export type Instruction = { readonly statement: Statement } & (
  | { readonly kind: 'from'; readonly image: string; readonly name?: string; readonly platform?: string }
  | {
      readonly kind: 'run';
      readonly command: CommandLine;
      readonly mounts: readonly string[];
      readonly network?: string;
      readonly security?: string;
      readonly heredocs: readonly Heredoc[];
    }
  | Each<'copy' | 'add', CopyParts>
  | Each<'cmd' | 'entrypoint', { readonly command: CommandLine }>
  | Each<'env' | 'label', { readonly pairs: readonly Pair[] }>
  | { readonly kind: 'arg'; readonly args: readonly (readonly [name: string, value: string | undefined])[] }
  | { readonly kind: 'expose'; readonly ports: readonly string[] }
  | { readonly kind: 'volume'; readonly paths: readonly string[] }
  | Each<'user' | 'workdir' | 'stopsignal' | 'maintainer', { readonly value: string }>
  | { readonly kind: 'shell'; readonly args: readonly string[] }
  | { readonly kind: 'onbuild'; readonly expression: string }
  | {
      readonly kind: 'healthcheck';
      readonly none: boolean;
      readonly command: CommandLine;
      readonly options: HealthOptions;
    }
);

export type InstructionKind = Instruction['kind'];
export type InstructionOf<K extends InstructionKind> = Extract<Instruction, { readonly kind: K }>;

/** Flags that an instruction may have; true: needs no value. */
const FLAGS: Record<string, Readonly<Record<string, boolean>>> = {
  FROM: { platform: false },
  RUN: { mount: false, network: false, security: false },
  COPY: { from: false, chown: false, chmod: false, link: true, parents: true, exclude: false },
  ADD: { chown: false, chmod: false, link: true, exclude: false, checksum: false, 'keep-git-dir': true, unpack: true },
  HEALTHCHECK: { interval: false, timeout: false, 'start-period': false, 'start-interval': false, retries: false },
};
const REPEATED = ['mount', 'exclude'];

/** Understands every instruction of a file. Errors are Docker's, with the place. */
export function parseInstructions(source: Source): Instruction[] {
  return source.statements.map((statement) => {
    try {
      return parseStatement(statement, source.escapeChar);
    } catch (error) {
      throw errorAt(source, statement, messageOf(error));
    }
  });
}

/** One instruction from a trigger's text: what ONBUILD left in an image. */
export function parseTrigger(source: Source): Instruction {
  const [instruction] = parseInstructions(source);
  return instruction as Instruction;
}

/** Values of flags by name, each checked. */
export class Flags {
  readonly #values = new Map<string, string[]>();

  constructor(statement: Statement) {
    const known = FLAGS[statement.keyword] ?? {};
    for (const flag of statement.flags) {
      const equals = flag.indexOf('=');
      const name = flag.slice(2, equals < 0 ? undefined : equals);
      if (!(name in known)) throw new Error(`unknown flag: --${name}`);
      if (equals < 0 && !known[name]) throw new Error(`missing a value on flag: --${name}`);
      const before = this.#values.get(name);
      if (before && !REPEATED.includes(name)) throw new Error(`duplicate flag specified: ${name}`);
      this.#values.set(name, [...(before ?? []), equals < 0 ? 'true' : flag.slice(equals + 1)]);
    }
  }

  all(name: string): readonly string[] {
    return this.#values.get(name) ?? [];
  }

  text(name: string): string | undefined {
    return this.all(name)[0];
  }

  bool(name: string): boolean | undefined {
    const value = this.text(name);
    if (value === undefined) return undefined;
    if (['true', '1', 't', 'T', 'TRUE', 'True'].includes(value)) return true;
    if (['false', '0', 'f', 'F', 'FALSE', 'False'].includes(value)) return false;
    throw new Error(`expecting boolean value for flag ${name}, not: ${value}`);
  }
}

function parseStatement(statement: Statement, escapeChar: string): Instruction {
  const { keyword, rest, word } = statement;
  const flags = new Flags(statement);
  const needSome = (): void => {
    if (rest === '') throw new Error(`${keyword} requires at least one argument`);
  };
  const one = (): string => {
    if (rest === '') throw new Error(`${keyword} requires exactly one argument`);
    return rest;
  };
  switch (keyword) {
    case 'FROM':
      return { kind: 'from', statement, ...parseFrom(rest, escapeChar), platform: flags.text('platform') };
    case 'RUN':
      needSome();
      return {
        kind: 'run',
        statement,
        command: commandLine(rest),
        mounts: flags.all('mount'),
        network: flags.text('network'),
        security: flags.text('security'),
        heredocs: statement.heredocs,
      };
    case 'COPY':
    case 'ADD':
      return { kind: keyword === 'ADD' ? 'add' : 'copy', statement, ...copyParts(statement, flags) };
    case 'CMD':
    case 'ENTRYPOINT':
      return { kind: keyword === 'CMD' ? 'cmd' : 'entrypoint', statement, command: commandLine(rest) };
    case 'ENV':
    case 'LABEL':
      needSome();
      return { kind: keyword === 'ENV' ? 'env' : 'label', statement, pairs: pairs(rest, keyword, escapeChar) };
    case 'ARG':
      needSome();
      return { kind: 'arg', statement, args: splitWords(rest, escapeChar).map(argument) };
    case 'EXPOSE':
      needSome();
      return { kind: 'expose', statement, ports: plainWords(rest).sort() };
    case 'VOLUME': {
      needSome();
      const paths = jsonList(rest) ?? plainWords(rest);
      if (paths.some((path) => path.trim() === '')) throw new Error('VOLUME specified can not be an empty string');
      return { kind: 'volume', statement, paths };
    }
    case 'USER':
    case 'WORKDIR':
    case 'STOPSIGNAL':
    case 'MAINTAINER':
      return { kind: keyword.toLowerCase() as 'user', statement, value: one() };
    case 'SHELL': {
      const args = jsonList(rest);
      if (!args) throw new Error('SHELL requires the arguments to be in JSON form');
      if (args.length === 0) throw new Error('SHELL requires at least one argument');
      return { kind: 'shell', statement, args };
    }
    case 'ONBUILD':
      needSome();
      checkTrigger(rest);
      return { kind: 'onbuild', statement, expression: rest };
    case 'HEALTHCHECK':
      needSome();
      return { kind: 'healthcheck', statement, ...parseHealthcheck(rest, flags) };
    default:
      throw new Error(`unknown instruction: ${word}`);
  }
}

function checkTrigger(expression: string): void {
  const word = (expression.split(/\s/, 1)[0] ?? '').toUpperCase();
  if (word === 'ONBUILD') throw new Error("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed");
  if (word === 'MAINTAINER' || word === 'FROM') throw new Error(`${word} isn't allowed as an ONBUILD trigger`);
}

/** The JSON form; undefined when the text is not a list of strings. */
export function jsonList(text: string): string[] | undefined {
  if (!text.trimStart().startsWith('[')) return undefined;
  try {
    const value: unknown = JSON.parse(text);
    return Array.isArray(value) && value.every((item) => typeof item === 'string') ? value : undefined;
  } catch {
    return undefined;
  }
}

export function commandLine(text: string): CommandLine {
  const args = jsonList(text);
  return args ? { form: 'exec', args } : { form: 'shell', text };
}

/** Words at whitespace, whatever their quotes: how Docker reads most lists. */
const plainWords = (text: string): string[] => text.split(/\s+/).filter(Boolean);

function copyParts(statement: Statement, flags: Flags): CopyParts {
  const { keyword, rest, heredocs } = statement;
  const words = jsonList(rest) ?? plainWords(rest);
  if (words.length < 2) {
    const only = words[0] === undefined ? '' : `. Destination could not be determined`;
    throw new Error(
      words.length === 0
        ? `${keyword} requires at least two arguments, but only zero were provided${only}`
        : `${keyword} requires at least two arguments, but only one was provided${only}`,
    );
  }
  const destination = words.at(-1) as string;
  if (heredocs.length > 0 && parseHeredoc(destination)) {
    throw new Error(`${keyword} cannot accept a heredoc as a destination`);
  }
  const sources = words.slice(0, -1).filter((source) => heredocs.length === 0 || !parseHeredoc(source));
  return {
    sources,
    destination,
    heredocs,
    from: flags.text('from'),
    chown: flags.text('chown'),
    chmod: flags.text('chmod'),
    link: flags.bool('link') ?? false,
    parents: flags.bool('parents') ?? false,
    exclude: flags.all('exclude'),
    checksum: flags.text('checksum'),
    keepGitDir: flags.bool('keep-git-dir') ?? false,
    unpack: flags.bool('unpack'),
  };
}

/** `A=b C="d e"`, or the old form `A b c` with one name. Quotes stay for the expansion. */
function pairs(text: string, keyword: string, escapeChar: string): Pair[] {
  const words = splitWords(text, escapeChar);
  const first = words[0] as string;
  if (!first.includes('=')) {
    const value = text.slice(first.length).trim();
    if (value === '') throw new Error(`${keyword} must have two arguments`);
    return [[first, value]];
  }
  return words.map((word) => {
    const equals = word.indexOf('=');
    if (equals < 0) {
      throw new Error(`Syntax error - can't find = in ${JSON.stringify(word)}. Must be of the form: name=value`);
    }
    if (equals === 0) throw new Error(`${keyword} names can not be blank`);
    return [word.slice(0, equals), word.slice(equals + 1)];
  });
}

function argument(word: string): readonly [string, string | undefined] {
  const equals = word.indexOf('=');
  if (equals === 0) throw new Error('ARG names can not be blank');
  return equals < 0 ? [word, undefined] : [word.slice(0, equals), word.slice(equals + 1)];
}
