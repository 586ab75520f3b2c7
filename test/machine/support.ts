/** What the tests that boot the real VM share. */
import { join } from 'node:path';
import ssh2 from 'ssh2';
import { findQemu, thisHost } from '../../electron/machine/platform.ts';
import type { MachineOptions, SshEndpoint } from '../../electron/machine/types.ts';
import { ensureVmImage, type VmImage } from '../../resources/vm/image.ts';

/** The VM image with a few lines of Node in the engine's place: here the machine is tested, not the engine. */
export function testImage(): Promise<VmImage> {
  return ensureVmImage({ engineDir: join(import.meta.dirname, 'stand-in-engine') });
}

export function testOptions(home: string): Omit<MachineOptions, 'image'> {
  return { home, cpus: 2, memoryMb: 1024, diskGb: 4 };
}

const arch = process.arch === 'arm64' ? 'arm64' : 'x64';
export const canBoot = process.platform === 'linux' && findQemu(thisHost(), arch).system !== undefined;

/** An SSH connection that accepts no other guest than the one that told its key. */
export async function login(endpoint: SshEndpoint): Promise<ssh2.Client> {
  const client = new ssh2.Client();
  await new Promise<void>((resolve, reject) => {
    client.once('ready', resolve).once('error', reject);
    client.connect({
      host: endpoint.host,
      port: endpoint.port,
      username: endpoint.username,
      privateKey: endpoint.privateKey,
      readyTimeout: 60_000,
      hostVerifier: (key: Buffer) => key.equals(endpoint.hostKey),
    });
  });
  return client;
}

/** Runs a command in the guest; what it printed, without the last newline. */
export async function guest(endpoint: SshEndpoint, command: string): Promise<string> {
  const client = await login(endpoint);
  try {
    return await new Promise<string>((resolve, reject) => {
      client.exec(command, (error, stream) => {
        if (error) return reject(error);
        let output = '';
        stream.on('data', (data: Buffer) => (output += data));
        stream.stderr.on('data', (data: Buffer) => (output += data));
        stream.on('close', () => resolve(output.trimEnd()));
      });
    });
  } finally {
    client.end();
  }
}

/** One HTTP/1.0 request to the engine's socket in the guest; the body of its answer. */
export async function ask(endpoint: SshEndpoint, path: string): Promise<string> {
  const client = await login(endpoint);
  try {
    return await new Promise<string>((resolve, reject) => {
      client.openssh_forwardOutStreamLocal(endpoint.engineSocket, (error, stream) => {
        if (error) return reject(error);
        let answer = '';
        stream.on('data', (data: Buffer) => (answer += data));
        stream.on('end', () => {
          stream.end();
          resolve(answer.slice(answer.indexOf('\r\n\r\n') + 4));
        });
        stream.write(`GET ${path} HTTP/1.0\r\n\r\n`);
      });
    });
  } finally {
    client.end();
  }
}
