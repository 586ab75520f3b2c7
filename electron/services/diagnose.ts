import { mkdir, open, readdir, stat, writeFile } from 'node:fs/promises';
import { arch, cpus, freemem, release, totalmem, version } from 'node:os';
import { join } from 'node:path';
import { type ZipEntry, zip } from './zip.ts';

const LOG_BYTES = 2_000_000;

/**
 * Writes `diagnose-<time>.zip` into the app's folder: what the app says of itself (`facts`), its files' names and sizes, the
 * ends of all logs. Keys are never read; what looks like a secret in a text is struck out.
 */
export async function diagnose(home: string, facts: Record<string, () => unknown>): Promise<{ path: string }> {
  const entries: ZipEntry[] = [];
  const add = (name: string, text: string) => entries.push({ name, data: Buffer.from(withoutSecrets(text)) });
  for (const [name, fact] of Object.entries(facts)) {
    // What can't be found out is a finding too.
    const value = await Promise.resolve()
      .then(fact)
      .catch((error) => ({ error: String(error) }));
    add(`${name}.json`, `${JSON.stringify(value, undefined, 2)}\n`);
  }
  add('computer.json', `${JSON.stringify(computer(), undefined, 2)}\n`);
  add('files.txt', await listing(home));
  for (const log of ['app.log', 'machine/console.log', 'machine/engine.log', 'machine/qemu.log']) {
    for (const name of [`${log}.1`, log]) {
      const text = await ending(join(home, name));
      if (text !== undefined) add(`logs/${name.replace('machine/', '')}`, text);
    }
  }
  await mkdir(home, { recursive: true, mode: 0o700 });
  const path = join(home, `diagnose-${new Date().toISOString().replaceAll(/[:.]/g, '-')}.zip`);
  await writeFile(path, zip(entries), { mode: 0o600 });
  return { path };
}

function computer() {
  const { platform, versions } = process;
  return {
    platform,
    release: release(),
    version: version(),
    arch: arch(),
    cpus: cpus().map(({ model }) => model),
    memory: { total: totalmem(), free: freemem() },
    node: versions.node,
    electron: versions.electron,
  };
}

/** Passwords in URLs, credentials in headers, values of keys that say what they are, private keys. */
export function withoutSecrets(text: string): string {
  return text
    .replaceAll(/(\w+:\/\/)[^\s/@"']+@/g, '$1***@')
    .replaceAll(/\b(bearer|basic)\s+[\w.~+/=-]{6,}/gi, '$1 ***')
    .replaceAll(/-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(-----END [A-Z ]*PRIVATE KEY-----|$)/g, '***')
    .replaceAll(
      /("?[\w-]*(?:password|passwd|secret|token|api[_-]?key|auth)"?\s*[:=]\s*)("(?:[^"\\]|\\.)*"|[^\s,;&"']+)/gi,
      '$1"***"',
    );
}

async function listing(home: string): Promise<string> {
  const lines: string[] = [];
  for (const folder of ['.', 'machine']) {
    for (const name of (await readdir(join(home, folder)).catch(() => [])).sort()) {
      const found = await stat(join(home, folder, name)).catch(() => undefined);
      if (found) lines.push(`${found.mtime.toISOString()} ${String(found.size).padStart(14)} ${folder}/${name}`);
    }
  }
  return `${lines.join('\n')}\n`;
}

async function ending(path: string): Promise<string | undefined> {
  const file = await open(path).catch(() => undefined);
  if (!file) return undefined;
  try {
    const { size } = await file.stat();
    const from = Math.max(0, size - LOG_BYTES);
    const buffer = Buffer.alloc(size - from);
    const { bytesRead } = await file.read(buffer, 0, buffer.length, from);
    return buffer.toString('utf8', 0, bytesRead);
  } finally {
    await file.close();
  }
}
