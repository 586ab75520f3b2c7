import { createHash, createHmac } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';

/** What the user's known_hosts say of one host; keys as they cross the wire. */
export interface KnownHost {
  keys: Buffer[];
  revoked: Buffer[];
}

/** The files that ssh itself looks at; what can't be read says nothing. */
export async function knownHost(host: string, port: number): Promise<KnownHost> {
  const files = [join(homedir(), '.ssh', 'known_hosts'), '/etc/ssh/ssh_known_hosts'];
  const texts = await Promise.all(files.map((path) => readFile(path, 'utf8').catch(() => '')));
  return readKnownHosts(texts.join('\n'), host, port);
}

/** known_hosts as sshd(8) describes it, hashed names and patterns included. Authorities (`@cert-authority`) are left out. */
export function readKnownHosts(text: string, host: string, port: number): KnownHost {
  const name = port === 22 ? host.toLowerCase() : `[${host.toLowerCase()}]:${port}`;
  const found: KnownHost = { keys: [], revoked: [] };
  for (const line of text.split('\n')) {
    const words = line.trim().split(/\s+/);
    const marker = words[0]?.startsWith('@') ? words.shift() : '';
    const [names = '', , key] = words;
    if (names.startsWith('#') || !key || !matches(names, name)) continue;
    if (marker === '') found.keys.push(Buffer.from(key, 'base64'));
    else if (marker === '@revoked') found.revoked.push(Buffer.from(key, 'base64'));
  }
  return found;
}

/** `ssh-ed25519`, `ssh-rsa`, …: the first string of a key. */
export function keyType(key: Buffer): string {
  return key.length < 4 ? '' : key.subarray(4, 4 + key.readUInt32BE(0)).toString('latin1');
}

/** As ssh prints it: `SHA256:…` */
export function fingerprint(key: Buffer): string {
  return `SHA256:${createHash('sha256').update(key).digest('base64').replace(/=+$/, '')}`;
}

function matches(patterns: string, name: string): boolean {
  if (patterns.startsWith('|1|')) {
    const [, , salt = '', hash] = patterns.split('|');
    return createHmac('sha1', Buffer.from(salt, 'base64')).update(name).digest('base64') === hash;
  }
  let found = false;
  for (const pattern of patterns.toLowerCase().split(',')) {
    const not = pattern.startsWith('!');
    if (!wildcard(not ? pattern.slice(1) : pattern).test(name)) continue;
    if (not) return false;
    found = true;
  }
  return found;
}

function wildcard(pattern: string): RegExp {
  const escaped = pattern.replace(/[.+^${}()|[\]\\]/g, '\\$&');
  return new RegExp(`^${escaped.replaceAll('*', '.*').replaceAll('?', '.')}$`);
}
