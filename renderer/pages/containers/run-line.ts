import type { ContainerWish } from '../../../electron/contract/containers.ts';

/** One option with its value, or one argument. */
export type Part = readonly string[];

/** For a POSIX shell: a word that it would change is put into single quotes. */
export function quoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

export function runLine(parts: readonly Part[]): string {
  return ['docker run', ...parts.map((part) => part.map(quoted).join(' '))].join(' ');
}

/** The options that `docker run` needs for what the form asks for. */
export function wishParts(wish: ContainerWish, detached = true): Part[] {
  const parts: Part[] = detached ? [['-d']] : [];
  if (wish.name) parts.push(['--name', wish.name]);
  for (const { name, value } of wish.env) if (name) parts.push(['-e', `${name}=${value}`]);
  for (const port of wish.ports) if (port.containerPort) parts.push(['-p', portText(port)]);
  for (const { source, target, readOnly } of wish.volumes) {
    if (target) parts.push(['-v', `${source ? `${source}:` : ''}${target}${readOnly && source ? ':ro' : ''}`]);
  }
  for (const network of wish.networks) if (network) parts.push(['--network', network]);
  if (wish.restart && wish.restart !== 'no') parts.push(['--restart', wish.restart]);
  if (wish.cpus > 0) parts.push(['--cpus', String(wish.cpus)]);
  if (wish.memoryBytes > 0) parts.push(['--memory', memoryText(wish.memoryBytes)]);
  parts.push([wish.image.trim() || 'IMAGE'], ...wish.command.map((word) => [word]));
  return parts;
}

export function portText({ hostIp, hostPort, containerPort, protocol }: ContainerWish['ports'][number]): string {
  const address = hostIp.includes(':') ? `[${hostIp}]` : hostIp;
  const host = address ? `${address}:${hostPort}:` : hostPort ? `${hostPort}:` : '';
  return `${host}${containerPort}${protocol === 'tcp' ? '' : `/${protocol}`}`;
}

/** In the largest unit that it is a whole number of. */
export function memoryText(bytes: number): string {
  for (const [unit, size] of [
    ['g', 1024 ** 3],
    ['m', 1024 ** 2],
    ['k', 1024],
  ] as const) {
    if (bytes >= size && bytes % size === 0) return `${bytes / size}${unit}`;
  }
  return String(bytes);
}

/** A command line as a form takes it → words: quotes and backslashes as in a shell, nothing else of it. */
export function splitCommand(line: string): string[] {
  const words: string[] = [];
  let word: string | undefined;
  let quote = '';
  for (let at = 0; at < line.length; at++) {
    const char = line[at] ?? '';
    if (quote) {
      if (char === quote) quote = '';
      else if (char === '\\' && quote === '"' && /["\\$`]/.test(line[at + 1] ?? '')) word += line[++at] ?? '';
      else word += char;
    } else if (char === "'" || char === '"') {
      quote = char;
      word ??= '';
    } else if (char === '\\' && at + 1 < line.length) word = (word ?? '') + (line[++at] ?? '');
    else if (/\s/.test(char)) {
      if (word !== undefined) words.push(word);
      word = undefined;
    } else word = (word ?? '') + char;
  }
  if (word !== undefined) words.push(word);
  return words;
}
