import { readFile } from 'node:fs/promises';
import { homedir, userInfo } from 'node:os';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import ssh2, { type AuthenticationType, type Client, type ConnectConfig } from 'ssh2';
import type { EngineAddress } from '../../contract/engines.ts';
import { fingerprint, type KnownHost, keyType, knownHost } from './known-hosts.ts';
import { readNamed } from './named-file.ts';
import { EngineUnreachable, problem, problemOf } from './problem.ts';
import type { Route } from './route.ts';
import { ChannelStream } from './ssh-channel.ts';

type SshAddress = Extract<EngineAddress, { kind: 'ssh' }>;

const LOGIN_MS = 20_000;
const KEEPALIVE_MS = 10_000;
const KEEPALIVE_MISSES = 3;
/** sshd allows ten sessions over one connection (MaxSessions), and one of them asks for the docker command. */
const MOST_CHANNELS = 9;
/** What the docker command connects to where there is no docker command. */
const REMOTE_SOCKET = '/var/run/docker.sock';
const USUAL_KEYS = ['id_ed25519', 'id_ecdsa', 'id_rsa'];
const HOST_KEYS = [
  'ssh-ed25519',
  'ecdsa-sha2-nistp256',
  'ecdsa-sha2-nistp384',
  'ecdsa-sha2-nistp521',
  'rsa-sha2-512',
  'rsa-sha2-256',
];

interface Login {
  client: Client;
  channels: number;
  /** whether `docker system dial-stdio` is there, which finds the engine as the docker command on that host does */
  command: boolean;
}

/** Over SSH, as the docker command goes: each connection is a channel, and there are as many logins as they need. */
export class SshRoute implements Route {
  readonly #address: SshAddress;
  #logins: Login[] = [];
  #loggingIn: Promise<void> | undefined;
  #round = 0;

  constructor(address: SshAddress) {
    this.#address = address;
  }

  async dial(): Promise<Duplex> {
    for (;;) {
      const login = this.#logins.find(({ channels }) => channels < MOST_CHANNELS);
      if (login) return this.#open(login);
      this.#loggingIn ??= this.#logIn().finally(() => {
        this.#loggingIn = undefined;
      });
      await this.#loggingIn;
    }
  }

  reset(): void {
    this.#round++;
    for (const { client } of this.#logins.splice(0)) client.end();
  }

  async #logIn(): Promise<void> {
    const round = this.#round;
    const client = await logIn(this.#address);
    const command = await hasDocker(client);
    if (round !== this.#round) {
      client.end();
      return;
    }
    const login = { client, channels: 0, command };
    this.#logins.push(login);
    client.once('close', () => {
      this.#logins = this.#logins.filter((one) => one !== login);
    });
  }

  #open(login: Login): Promise<Duplex> {
    login.channels++;
    const refused = (words: string) => new EngineUnreachable(problem('ssh-docker', this.#address, words));
    return new Promise((done, fail) => {
      const opened = (error: Error | undefined, channel: ssh2.ClientChannel) => {
        if (error) {
          login.channels--;
          fail(refused(error.message));
          return;
        }
        channel.once('close', () => this.#closed(login));
        done(new ChannelStream(channel, refused));
      };
      try {
        if (login.command) login.client.exec('docker system dial-stdio', opened);
        else login.client.openssh_forwardOutStreamLocal(REMOTE_SOCKET, opened);
      } catch (error) {
        // The connection has gone this moment.
        opened(error as Error, undefined as unknown as ssh2.ClientChannel);
      }
    });
  }

  /** One login stays for the next connection. */
  #closed(login: Login): void {
    login.channels--;
    if (login.channels > 0 || this.#logins.filter(({ channels }) => channels === 0).length < 2) return;
    this.#logins = this.#logins.filter((one) => one !== login);
    login.client.end();
  }
}

async function logIn(address: SshAddress): Promise<Client> {
  const known = await knownHost(address.host, address.port);
  const username = address.user || userInfo().username;
  const authHandler = await identities(address, username);
  const client = new ssh2.Client();
  let refused: EngineUnreachable | undefined;
  const config: ConnectConfig = {
    host: address.host,
    port: address.port,
    username,
    authHandler,
    hostVerifier: (key: Buffer) => {
      refused = judge(key, known, address);
      return refused === undefined;
    },
    algorithms: { serverHostKey: preferred(known, address) as never },
    readyTimeout: LOGIN_MS,
    keepaliveInterval: KEEPALIVE_MS,
    keepaliveCountMax: KEEPALIVE_MISSES,
  };
  try {
    await new Promise<void>((done, fail) => {
      client.once('ready', done);
      client.once('error', fail);
      client.once('close', () => fail(new Error('the connection was closed')));
      client.connect(config);
    });
  } catch (error) {
    client.on('error', () => {});
    client.destroy();
    const { level, message } = error as { level?: string; message: string };
    if (refused) throw refused;
    if (level === 'client-authentication') {
      throw new EngineUnreachable(problem('ssh-login', address, message, { user: username }));
    }
    if (level === 'client-timeout') throw new EngineUnreachable(problem('timeout', address, message));
    throw new EngineUnreachable(problemOf(error, address));
  }
  // What goes wrong later ends the connection, and with it the channels.
  client.on('error', () => {});
  return client;
}

/** The key that the user named; else the agent's and those that ssh tries by itself. */
async function identities(address: SshAddress, username: string): Promise<AuthenticationType[]> {
  if (address.key) {
    const key = ssh2.utils.parseKey(await readNamed(address.key, address));
    if (key instanceof Error) throw new EngineUnreachable(problem('file', address, key.message, { file: address.key }));
    return [{ type: 'publickey', username, key: [key].flat()[0] as never } as never];
  }
  const agent = process.platform === 'win32' ? '\\\\.\\pipe\\openssh-ssh-agent' : process.env.SSH_AUTH_SOCK;
  const found: AuthenticationType[] = agent ? [{ type: 'agent', username, agent } as never] : [];
  for (const name of USUAL_KEYS) {
    const text = await readFile(join(homedir(), '.ssh', name)).catch(() => undefined);
    const key = text && ssh2.utils.parseKey(text);
    // One with a passphrase is the agent's business.
    if (key && !(key instanceof Error)) found.push({ type: 'publickey', username, key: [key].flat()[0] } as never);
  }
  if (found.length > 0) return found;
  const nothing = 'there is no agent (SSH_AUTH_SOCK) and no key without a passphrase in ~/.ssh';
  throw new EngineUnreachable(problem('ssh-login', address, nothing, { user: username }));
}

/** Undefined: the key is the one that is known. */
function judge(key: Buffer, known: KnownHost, address: SshAddress): EngineUnreachable | undefined {
  const type = keyType(key);
  const said = { fingerprint: fingerprint(key), type };
  const accepted = Buffer.from(address.hostKey.split(' ')[1] ?? '', 'base64');
  const changed = () =>
    new EngineUnreachable(problem('ssh-changed-host', address, `${type} ${said.fingerprint}`, said));
  if (known.revoked.some((one) => one.equals(key))) return changed();
  if (known.keys.some((one) => one.equals(key))) return undefined;
  if (known.keys.some((one) => keyType(one) === type)) return changed();
  if (accepted.length > 0) return accepted.equals(key) ? undefined : changed();
  const unknown = problem('ssh-unknown-host', address, `${type} ${said.fingerprint}`, said);
  return new EngineUnreachable({ ...unknown, hostKey: `${type} ${key.toString('base64')}` });
}

/** Kinds of key that are known of this host come first, so that it shows one of those. */
function preferred(known: KnownHost, address: SshAddress): string[] {
  const types = new Set([...known.keys.map(keyType), address.hostKey.split(' ')[0]]);
  const isKnown = (algorithm: string) => types.has(algorithm.startsWith('rsa-') ? 'ssh-rsa' : algorithm);
  return [...HOST_KEYS.filter(isKnown), ...HOST_KEYS.filter((one) => !isKnown(one))];
}

function hasDocker(client: Client): Promise<boolean> {
  return new Promise((done) => {
    const limit = setTimeout(() => done(true), LOGIN_MS);
    client.once('close', () => done(false));
    client.exec('docker --version', (error, channel) => {
      if (error) return done(false);
      channel.on('exit', (code: number | null) => {
        clearTimeout(limit);
        done(code === 0);
      });
      channel.resume();
      channel.stderr.resume();
    });
  });
}
