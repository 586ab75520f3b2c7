import type { ContainerDefaults, Healthcheck } from '../../content/oci.ts';
import { invalidParameter } from '../../errors.ts';

import { parseGoDuration } from '../times.ts';

/**
 * Dockerfile instructions that `import --change` and `commit --change` apply to an image's configuration (moby
 * builder/dockerfile.BuildFromConfig). Each text may hold several lines.
 */
export function applyChanges(config: ContainerDefaults, changes: readonly string[]): ContainerDefaults {
  let result = config;
  for (const text of changes) {
    const lines = text.replace(/\\\r?\n/g, '').split('\n');
    for (const [index, line] of lines.entries()) {
      const trimmed = line.trim();
      if (trimmed !== '' && !trimmed.startsWith('#')) result = applyOne(result, trimmed, index + 1);
    }
  }
  return result;
}

function applyOne(config: ContainerDefaults, line: string, number: number): ContainerDefaults {
  const [, word = '', rest = ''] = /^(\S+)\s*(.*)$/s.exec(line) ?? [];
  const instruction = word.toUpperCase();
  if (rest.trim() === '' && instruction in NEEDS) {
    throw invalidParameter(`${instruction} requires ${NEEDS[instruction]}`);
  }
  switch (instruction) {
    case 'CMD':
      return { ...config, Cmd: command(rest, config.Shell) };
    case 'ENTRYPOINT':
      // A new entry point makes the inherited command meaningless.
      return { ...config, Entrypoint: command(rest, config.Shell), Cmd: null };
    case 'ENV':
      return { ...config, Env: addEnv(config.Env ?? [], pairs(rest, 'ENV')) };
    case 'LABEL':
      return { ...config, Labels: { ...config.Labels, ...Object.fromEntries(pairs(rest, 'LABEL')) } };
    case 'EXPOSE':
      return { ...config, ExposedPorts: { ...config.ExposedPorts, ...Object.fromEntries(words(rest).flatMap(ports)) } };
    case 'VOLUME':
      return { ...config, Volumes: { ...config.Volumes, ...toSet(jsonList(rest) ?? words(rest)) } };
    case 'ONBUILD':
      return { ...config, OnBuild: [...(config.OnBuild ?? []), rest] };
    case 'USER':
      return { ...config, User: rest };
    case 'WORKDIR':
      return { ...config, WorkingDir: rest.startsWith('/') ? rest : joinPath(config.WorkingDir || '/', rest) };
    case 'STOPSIGNAL':
      return { ...config, StopSignal: rest };
    case 'SHELL':
      return { ...config, Shell: jsonList(rest) ?? fail('SHELL requires the arguments to be in JSON form') };
    case 'HEALTHCHECK':
      return { ...config, Healthcheck: healthcheck(rest, config.Shell) };
    case 'ADD':
    case 'COPY':
    case 'FROM':
    case 'RUN':
    case 'ARG':
    case 'MAINTAINER':
      throw invalidParameter(`${instruction.toLowerCase()} is not a valid change command`);
    default:
      throw invalidParameter(`dockerfile parse error on line ${number}: unknown instruction: ${word}`);
  }
}

const NEEDS: Record<string, string> = {
  ENV: 'at least one argument',
  LABEL: 'at least one argument',
  EXPOSE: 'at least one argument',
  VOLUME: 'at least one argument',
  USER: 'exactly one argument',
  WORKDIR: 'exactly one argument',
  STOPSIGNAL: 'exactly one argument',
  ONBUILD: 'at least one argument',
  HEALTHCHECK: 'at least one argument',
};

const fail = (message: string): never => {
  throw invalidParameter(message);
};

/** The JSON form; undefined when the text is not a list of strings. */
function jsonList(text: string): string[] | undefined {
  if (!text.trim().startsWith('[')) return undefined;
  try {
    const value: unknown = JSON.parse(text);
    return Array.isArray(value) && value.every((item) => typeof item === 'string') ? value : undefined;
  } catch {
    return undefined;
  }
}

function command(text: string, shell: readonly string[] | null | undefined): string[] | null {
  const list = jsonList(text);
  if (list) return list.length > 0 ? list : null;
  return text.trim() === '' ? null : [...(shell ?? ['/bin/sh', '-c']), text];
}

/** Words as a shell would split them: quotes and backslashes group. */
export function words(text: string): string[] {
  const found: string[] = [];
  for (const [token] of text.matchAll(/(?:[^\s"'\\]|\\.|"(?:[^"\\]|\\.)*"|'[^']*')+/gs)) {
    found.push(
      token.replace(
        /"((?:[^"\\]|\\.)*)"|'([^']*)'|\\(.)/gs,
        (_all, double?: string, single?: string, escaped?: string) =>
          double !== undefined ? double.replace(/\\(["\\$])/g, '$1') : (single ?? escaped ?? ''),
      ),
    );
  }
  return found;
}

/** `A=b C="d e"`, or the old form `A b c` with one name. */
function pairs(text: string, instruction: string): [string, string][] {
  const first = /^\S+/.exec(text)?.[0] ?? '';
  if (!first.includes('=')) {
    const [, name = '', value] = /^(\S+)\s+(.*)$/s.exec(text) ?? [];
    if (value === undefined) throw invalidParameter(`${instruction} must have two arguments`);
    return [[name, value.trim()]];
  }
  return words(text).map((word) => {
    const equals = word.indexOf('=');
    if (equals < 0) {
      throw invalidParameter(`Syntax error - can't find = in ${JSON.stringify(word)}. Must be of the form: name=value`);
    }
    return [word.slice(0, equals), word.slice(equals + 1)];
  });
}

function addEnv(env: readonly string[], added: readonly [string, string][]): string[] {
  const result = [...env];
  for (const [name, value] of added) {
    const at = result.findIndex((entry) => entry.split('=', 1)[0] === name);
    if (at >= 0) result[at] = `${name}=${value}`;
    else result.push(`${name}=${value}`);
  }
  return result;
}

const toSet = (names: readonly string[]) => Object.fromEntries(names.map((name) => [name, {}]));

/** `80`, `80/udp`, `8000-8010`. */
function ports(text: string): [string, object][] {
  const match = /^(?:\d+:)?(\d+)(?:-(\d+))?(?:\/(tcp|udp|sctp))?$/i.exec(text);
  const [from, to] = [Number(match?.[1]), Number(match?.[2] ?? match?.[1])];
  if (!match || from > to || to > 65_535) throw invalidParameter(`invalid containerPort: ${text}`);
  const protocol = (match[3] ?? 'tcp').toLowerCase();
  return Array.from({ length: to - from + 1 }, (_, index) => [`${from + index}/${protocol}`, {}]);
}

const joinPath = (base: string, rest: string): string => `${base.replace(/\/+$/, '')}/${rest}`;

function healthcheck(text: string, shell: readonly string[] | null | undefined): Healthcheck {
  let rest = text.trim();
  const options: Record<string, string> = {};
  for (let match = /^--([a-z-]+)=(\S+)\s*/.exec(rest); match; match = /^--([a-z-]+)=(\S+)\s*/.exec(rest)) {
    options[match[1] as string] = match[2] as string;
    rest = rest.slice(match[0].length);
  }
  if (/^NONE$/i.test(rest)) return { Test: ['NONE'] };
  const run = /^CMD\s+(.*)$/is.exec(rest)?.[1];
  if (run === undefined)
    throw invalidParameter(`Unknown type ${JSON.stringify(rest.split(/\s/)[0])} in HEALTHCHECK (try CMD)`);
  const list = jsonList(run);
  const duration = (name: string) => {
    const value = options[name];
    if (value === undefined) return {};
    const milliseconds = parseGoDuration(value);
    if (milliseconds === undefined) throw invalidParameter(`time: invalid duration ${JSON.stringify(value)}`);
    return { [DURATIONS[name] as string]: milliseconds * 1e6 };
  };
  return {
    Test: list ? ['CMD', ...list] : [shell && shell[0] !== '/bin/sh' ? 'CMD' : 'CMD-SHELL', run],
    ...Object.assign({}, ...Object.keys(DURATIONS).map(duration)),
    ...(options.retries === undefined ? {} : { Retries: Number(options.retries) }),
  };
}

const DURATIONS: Record<string, string> = {
  interval: 'Interval',
  timeout: 'Timeout',
  'start-period': 'StartPeriod',
  'start-interval': 'StartInterval',
};
