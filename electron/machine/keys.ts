/** The SSH key with which the app enters its VM: made once per user, never part of the image. */
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { readFile, rename, writeFile } from 'node:fs/promises';
import { MachineError } from './types.ts';

export interface SshKey {
  /** OpenSSH private key file */
  privateKey: Buffer;
  /** base64 of the public key in wire format, as in authorized_keys */
  publicBase64: string;
}

/** Reads the key, or makes it (ed25519; files 0600) when there is none. Throws MachineError 'keys-failed'. */
export async function ensureKey(privatePath: string, publicPath: string): Promise<SshKey> {
  try {
    const [privateKey, publicKey] = await Promise.all([readFile(privatePath), readFile(publicPath, 'utf8')]).catch(
      async (error: NodeJS.ErrnoException) => {
        if (error.code !== 'ENOENT') throw error;
        const made = makeKey();
        await writeWhole(publicPath, made.publicLine);
        await writeWhole(privatePath, made.privateKey);
        return [Buffer.from(made.privateKey), made.publicLine] as const;
      },
    );
    const publicBase64 = /^ssh-ed25519 ([A-Za-z0-9+/=]+)/.exec(publicKey)?.[1];
    if (!publicBase64) throw new Error(`${publicPath} holds no ed25519 key`);
    return { privateKey, publicBase64 };
  } catch (error) {
    throw new MachineError(
      'keys-failed',
      `The SSH key of the machine cannot be read or made: ${(error as Error).message}`,
      {
        step: 'keys',
        hint: `Remove ${privatePath} and ${publicPath}, or make their folder writable, and start again.`,
        cause: error,
      },
    );
  }
}

async function writeWhole(path: string, content: string): Promise<void> {
  await writeFile(`${path}.new`, content, { mode: 0o600 });
  await rename(`${path}.new`, path);
}

/** A new key in OpenSSH's own format (PROTOCOL.key in its sources), unencrypted. */
export function makeKey(): { privateKey: string; publicLine: string } {
  const jwk = generateKeyPairSync('ed25519').privateKey.export({ format: 'jwk' });
  const seed = Buffer.from(jwk.d!, 'base64url');
  const point = Buffer.from(jwk.x!, 'base64url');
  const publicBlob = Buffer.concat([sshString('ssh-ed25519'), sshString(point)]);
  const check = randomBytes(4);
  const secret = Buffer.concat([check, check, publicBlob, sshString(Buffer.concat([seed, point])), sshString('skiff')]);
  const padding = Buffer.from([1, 2, 3, 4, 5, 6, 7].slice(0, (8 - (secret.length % 8)) % 8));
  const file = Buffer.concat([
    Buffer.from('openssh-key-v1\0'),
    sshString('none'),
    sshString('none'),
    sshString(''),
    Buffer.from([0, 0, 0, 1]),
    sshString(publicBlob),
    sshString(Buffer.concat([secret, padding])),
  ]);
  const lines = file
    .toString('base64')
    .match(/.{1,70}/g)!
    .join('\n');
  return {
    privateKey: `-----BEGIN OPENSSH PRIVATE KEY-----\n${lines}\n-----END OPENSSH PRIVATE KEY-----\n`,
    publicLine: `ssh-ed25519 ${publicBlob.toString('base64')} skiff\n`,
  };
}

function sshString(value: string | Buffer): Buffer {
  const data = Buffer.from(value as string);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(data.length);
  return Buffer.concat([length, data]);
}
