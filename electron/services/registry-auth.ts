import { spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';

const HUB = 'https://index.docker.io/v1/';

interface CliConfig {
  auths?: Record<string, { auth?: string; identitytoken?: string }>;
  credsStore?: string;
  credHelpers?: Record<string, string>;
}

/** The header with what `docker login` has kept for this image's registry; nothing when nobody logged in. */
export async function registryAuth(repository: string): Promise<Record<string, string>> {
  const server = registryOf(repository);
  const found = await credentials(server).catch(() => undefined);
  if (!found) return {};
  const auth = Buffer.from(JSON.stringify({ ...found, serveraddress: server })).toString('base64url');
  return { 'X-Registry-Auth': auth };
}

/** As Docker: the first part is a registry when it looks like a host. */
function registryOf(repository: string): string {
  const [first = '', ...rest] = repository.split('/');
  const isHost = rest.length > 0 && (first.includes('.') || first.includes(':') || first === 'localhost');
  return isHost && first !== 'docker.io' ? first : HUB;
}

async function credentials(server: string): Promise<object | undefined> {
  const path = join(process.env.DOCKER_CONFIG ?? join(homedir(), '.docker'), 'config.json');
  const config = JSON.parse(await readFile(path, 'utf8')) as CliConfig;
  const helper = config.credHelpers?.[server] ?? config.credsStore;
  if (helper && /^[\w.-]+$/.test(helper)) {
    const { Username, Secret } = JSON.parse(await ask(`docker-credential-${helper}`, server));
    return Username === '<token>' ? { identitytoken: Secret } : { username: Username, password: Secret };
  }
  const kept = config.auths?.[server];
  if (kept?.identitytoken) return { identitytoken: kept.identitytoken };
  const [username = '', ...password] = Buffer.from(kept?.auth ?? '', 'base64')
    .toString()
    .split(':');
  return username ? { username, password: password.join(':') } : undefined;
}

function ask(program: string, server: string): Promise<string> {
  return new Promise((done, fail) => {
    const child = spawn(program, ['get'], { stdio: ['pipe', 'pipe', 'ignore'], timeout: 10_000 });
    let out = '';
    child.stdout.setEncoding('utf8').on('data', (text) => (out += text));
    child.once('error', fail);
    child.once('close', (code) => (code === 0 ? done(out) : fail(new Error(`${program} ended with ${code}`))));
    child.stdin.on('error', () => {});
    child.stdin.end(server);
  });
}
