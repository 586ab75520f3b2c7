import { realpath } from 'node:fs/promises';
import type { Tunnel } from '../tunnel/types.ts';
import { rawSftp } from './raw-sftp.ts';

type MountTunnel = Pick<Tunnel, 'state' | 'onState' | 'run' | 'exec'>;

/** The guest writes down which folders it is to get, in the order of their numbers; before that it has no place for them. */
const LIST =
  'f=/run/skiff/folders/sftp; n=0; while [ ! -e $f ] && [ $n -lt 600 ]; do usleep 100000; n=$((n + 1)); done; cat $f';
const INIT = '/usr/lib/skiff/init';

/**
 * Gives the guest the shared folders by SFTP, where QEMU can't by 9p (Windows): the app serves each over a channel of the tunnel,
 * and the guest's sshfs mounts it. Done again at each connection, as the mounts end with it.
 */
export class SftpMounts {
  readonly #tunnel: MountTunnel;
  readonly #log: (line: string) => void;
  readonly #unsubscribe: () => void;
  #done: Promise<void> = Promise.resolve();
  #connected = false;

  constructor(tunnel: MountTunnel, log: (line: string) => void) {
    this.#tunnel = tunnel;
    this.#log = log;
    this.#unsubscribe = tunnel.onState(() => this.#follow());
    this.#follow();
  }

  close(): void {
    this.#unsubscribe();
  }

  #follow(): void {
    const connected = this.#tunnel.state.kind === 'connected';
    if (connected && !this.#connected) {
      this.#done = this.#done
        .then(() => this.#mountAll())
        .catch((error) => this.#log(`shared folders: ${error.message}`));
    }
    this.#connected = connected;
  }

  async #mountAll(): Promise<void> {
    const list = await this.#tunnel.run(LIST, '');
    const folders = list.stdout.split('\n').filter(Boolean);
    for (const [index, folder] of folders.entries()) await this.#mount(folder, index);
    const ready = folders.length > 0 ? await this.#tunnel.run(`${INIT}/sftp-folders ${folders.length}`, '') : undefined;
    if (ready?.status) this.#log(`not every shared folder is mounted in the machine: ${ready.stderr}`);
  }

  async #mount(folder: string, index: number): Promise<void> {
    const sftp = await rawSftp(await realpath(folder));
    try {
      const channel = await this.#tunnel.exec(`${INIT}/sftp-folder ${index}`);
      channel.stderr.on('data', (text: Buffer) => this.#log(`${folder}: ${text.toString().trim()}`));
      channel.on('error', () => {});
      channel.pipe(sftp);
      sftp.pipe(channel);
      channel.once('close', () => sftp.end());
    } catch (error) {
      sftp.end();
      throw error;
    }
  }
}
