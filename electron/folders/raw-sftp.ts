import { Duplex, duplexPair, Transform } from 'node:stream';
import ssh2, { type Client, type ClientChannel } from 'ssh2';
import { serveFolder } from './sftp-folder.ts';

const host = ssh2.utils.generateKeyPairSync('ed25519');

/** ssh2 is not ready for an answer that arrives before its own write has returned. */
function later(side: Duplex): Duplex {
  const arriving = new Transform({
    transform: (chunk, _encoding, done) => process.nextTick(done, null, chunk),
  });
  return Duplex.from({ readable: side.pipe(arriving), writable: side });
}

/**
 * A client that reaches one folder by SFTP and nothing else. Both ends of the SSH connection are in this process: there is no port
 * that another program could connect to.
 * @param root as realpath gives it
 */
export async function folderClient(root: string): Promise<Client> {
  const [inner, outer] = duplexPair().map(later);
  const server = new ssh2.Server({ hostKeys: [host.private] }, (connection) => {
    connection.on('error', () => {});
    connection.on('authentication', (context) => context.accept());
    connection.on('session', (accept) => accept().on('sftp', (open) => serveFolder(open(), root)));
  });
  server.injectSocket(inner as Parameters<typeof server.injectSocket>[0]);
  const client = new ssh2.Client();
  await new Promise<void>((resolve, reject) => {
    client.once('ready', resolve).once('error', reject);
    client.connect({ sock: outer, username: 'folder', algorithms: { cipher: ['aes128-gcm@openssh.com'] } });
  });
  return client.on('error', () => {});
}

/**
 * One folder as a stream of SFTP packets, for a client at the other end of some other connection. ssh2 serves SFTP only inside SSH,
 * hence the client in between.
 */
export async function rawSftp(root: string): Promise<ClientChannel> {
  const client = await folderClient(root);
  const channel = await new Promise<ClientChannel>((resolve, reject) => {
    client.subsys('sftp', (error, stream) => (error ? reject(error) : resolve(stream)));
  });
  channel.once('close', () => client.end());
  return channel;
}
