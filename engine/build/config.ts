import type { Instruction } from './instructions.ts';

/** The part of an image's configuration that a Dockerfile changes; Docker's field names. */
export interface BuildConfig {
  User?: string;
  ExposedPorts?: Record<string, object> | null;
  Env?: string[] | null;
  Entrypoint?: string[] | null;
  Cmd?: string[] | null;
  Volumes?: Record<string, object> | null;
  WorkingDir?: string;
  Labels?: Record<string, string> | null;
  StopSignal?: string;
  ArgsEscaped?: boolean;
  Healthcheck?: object | null;
  OnBuild?: string[] | null;
  Shell?: string[] | null;
}

/** A configuration while a stage is built, with what an instruction must know of the ones before it. */
export interface ConfigState {
  config: BuildConfig;
  author: string;
  /** CMD was set by this Dockerfile: ENTRYPOINT doesn't reset it. */
  cmdSet: boolean;
}

const DEFAULT_SHELL = ['/bin/sh', '-c'];
export const shellOf = (config: BuildConfig): readonly string[] =>
  config.Shell?.length ? config.Shell : DEFAULT_SHELL;

/** Expands a word with the variables of the moment. */
export type Expand = (text: string) => string;

const quote = (text: string): string => JSON.stringify(text);
const quoteList = (list: readonly string[]): string => `[${list.map(quote).join(' ')}]`;

/**
 * Applies an instruction that changes the configuration only, by the rules of moby's classic builder.
 * @returns what history says of it
 */
export function applyInstruction(state: ConfigState, instruction: Instruction, expand: Expand): string {
  const { config } = state;
  switch (instruction.kind) {
    case 'env': {
      const env = [...(config.Env ?? [])];
      let comment = 'ENV';
      for (const [rawName, rawValue] of instruction.pairs) {
        const [name, value] = [expand(rawName), expand(rawValue)];
        comment += ` ${name}=${value}`;
        const at = env.findIndex((entry) => entry.split('=', 1)[0] === name);
        if (at >= 0) env[at] = `${name}=${value}`;
        else env.push(`${name}=${value}`);
      }
      config.Env = env;
      return comment;
    }
    case 'label': {
      const pairs = instruction.pairs.map(([name, value]) => [expand(name), expand(value)] as const);
      config.Labels = { ...config.Labels, ...Object.fromEntries(pairs) };
      return `LABEL${pairs.map(([name, value]) => ` ${name}=${value}`).join('')}`;
    }
    case 'maintainer':
      state.author = instruction.value;
      return `MAINTAINER ${instruction.value}`;
    case 'cmd': {
      const args = commandArgs(instruction.command, config);
      config.Cmd = args;
      state.cmdSet = true;
      return `CMD ${quoteList(args)}`;
    }
    case 'entrypoint': {
      const args = commandArgs(instruction.command, config);
      config.Entrypoint = args;
      // The base image's arguments belong to the base image's entry point.
      if (!state.cmdSet) config.Cmd = null;
      return `ENTRYPOINT ${quoteList(args)}`;
    }
    case 'expose': {
      const words = instruction.ports.flatMap((port) => expand(port).split(/\s+/).filter(Boolean));
      config.ExposedPorts = { ...config.ExposedPorts, ...Object.fromEntries(words.flatMap(exposedPorts)) };
      return `EXPOSE ${words.join(' ')}`;
    }
    case 'volume': {
      const paths = instruction.paths.map(expand);
      if (paths.some((path) => path.trim() === '')) throw new Error('VOLUME specified can not be an empty string');
      config.Volumes = { ...config.Volumes, ...Object.fromEntries(paths.map((path) => [path, {}])) };
      return `VOLUME [${paths.join(' ')}]`;
    }
    case 'user':
      config.User = expand(instruction.value);
      return `USER ${config.User}`;
    case 'workdir':
      config.WorkingDir = workingDirectory(config.WorkingDir, expand(instruction.value));
      return `WORKDIR ${config.WorkingDir}`;
    case 'stopsignal':
      config.StopSignal = expand(instruction.value);
      return `STOPSIGNAL ${config.StopSignal}`;
    case 'shell':
      config.Shell = [...instruction.args];
      return `SHELL [${instruction.args.join(' ')}]`;
    case 'onbuild':
      config.OnBuild = [...(config.OnBuild ?? []), instruction.expression];
      return `ONBUILD ${instruction.expression}`;
    case 'healthcheck':
      return applyHealthcheck(config, instruction);
    default:
      throw new Error(`${instruction.statement.keyword} changes more than the configuration`);
  }
}

function commandArgs(command: Extract<Instruction, { kind: 'cmd' }>['command'], config: BuildConfig): string[] {
  if (command.form === 'exec') return [...command.args];
  return [...shellOf(config), command.text];
}

function applyHealthcheck(config: BuildConfig, instruction: Extract<Instruction, { kind: 'healthcheck' }>): string {
  const { none, command, options } = instruction;
  const test = none ? ['NONE'] : command.form === 'exec' ? ['CMD', ...command.args] : ['CMD-SHELL', command.text];
  const { interval, timeout, startPeriod, startInterval, retries } = options;
  config.Healthcheck = {
    Test: test,
    ...(interval ? { Interval: interval } : {}),
    ...(timeout ? { Timeout: timeout } : {}),
    ...(startPeriod ? { StartPeriod: startPeriod } : {}),
    ...(startInterval ? { StartInterval: startInterval } : {}),
    ...(retries ? { Retries: retries } : {}),
  };
  const times = [interval, timeout, startPeriod, startInterval].map((value) => quote(goDuration(value))).join(' ');
  return `HEALTHCHECK &{${quoteList(test)} ${times} '${goRune(retries)}'}`;
}

/** Go prints the number of retries with %q: as the character of that code. */
function goRune(code: number): string {
  const short: Record<number, string> = { 7: '\\a', 8: '\\b', 9: '\\t', 10: '\\n', 11: '\\v', 12: '\\f', 13: '\\r' };
  if (short[code]) return short[code];
  if (code === 39 || code === 92) return `\\${String.fromCharCode(code)}`;
  return code < 32 || code === 127 ? `\\x${code.toString(16).padStart(2, '0')}` : String.fromCodePoint(code);
}

/** time.Duration's String: `1h0m0s`, `1m30s`, `500ms`, `0s`. */
export function goDuration(ns: number): string {
  if (ns === 0) return '0s';
  if (ns < 1e3) return `${ns}ns`;
  if (ns < 1e6) return `${ns / 1e3}µs`;
  if (ns < 1e9) return `${ns / 1e6}ms`;
  const seconds = ns / 1e9;
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60];
  const rest = `${Number((seconds % 60).toFixed(9))}s`;
  return seconds < 60 ? rest : hours === 0 ? `${minutes}m${rest}` : `${hours}h${minutes}m${rest}`;
}

/** `80`, `80/udp`, `8000-8010` (nat.ParsePortSpecs; a host's part is ignored as there). */
function exposedPorts(text: string): [string, object][] {
  const match = /^(?:.*:)?(\d+)(?:-(\d+))?(?:\/([a-z]+))?$/i.exec(text);
  const [from, to] = [Number(match?.[1]), Number(match?.[2] ?? match?.[1])];
  if (!match || to < from || to > 65_535) throw new Error(`invalid containerPort: ${text}`);
  const protocol = (match[3] ?? 'tcp').toLowerCase();
  if (!['tcp', 'udp', 'sctp'].includes(protocol)) throw new Error(`invalid proto: ${protocol}`);
  return Array.from({ length: to - from + 1 }, (_unused, index) => [`${from + index}/${protocol}`, {}]);
}

/** Relative directories go on from the one before. */
export function workingDirectory(current: string | undefined, wanted: string): string {
  if (wanted === '') throw new Error('cannot normalize nothing');
  return cleanPath(wanted.startsWith('/') ? wanted : `/${current ?? ''}/${wanted}`);
}

/** path.Clean of an absolute path. */
export function cleanPath(path: string): string {
  const parts: string[] = [];
  for (const part of path.split('/')) {
    if (part === '' || part === '.') continue;
    if (part === '..') parts.pop();
    else parts.push(part);
  }
  return `/${parts.join('/')}`;
}
