import { appendFileSync, chmodSync, mkdirSync, rmSync } from 'node:fs';
import type { Server } from 'node:http';
import { flushCompileCache } from 'node:module';
import { connect } from 'node:net';
import { dirname } from 'node:path';

import { ApiServer } from './api/server.ts';
import { VERSION } from './daemon/system/identity.ts';
import { startEngine } from './engine.ts';
import { messageOf } from './errors.ts';
import { log, setLogLevel } from './log.ts';
import { parseOptions } from './options.ts';

/** skiffd: parses its command line, starts the engine, listens, and ends in order when told to. */
async function main(): Promise<void> {
  const options = parseOptions(process.argv.slice(2));
  if (options.config.debug) setLogLevel('debug');
  for (const host of options.hosts) await refuseSecond(host);
  const engine = await startEngine(options);
  const api = new ApiServer(engine.routes, `Skiff/${VERSION} (linux)`);
  const servers: Server[] = [];
  for (const host of options.hosts) servers.push(await listen(api, host));
  log.info('API listening', { hosts: options.hosts.join(' '), version: VERSION });
  if (options.notify) appendFileSync(options.notify, 'ready\n');
  // With NODE_COMPILE_CACHE set, the next start needn't compile; Node would write the cache only at its end.
  setTimeout(flushCompileCache, 2000).unref();

  let ending = false;
  const end = (signal: string): void => {
    // A second signal means: now.
    if (ending) process.exit(1);
    ending = true;
    log.info('shutting down', { signal });
    for (const server of servers) server.close();
    engine.shutDown().then(
      () => process.exit(0),
      (error) => {
        log.error('shutdown failed', { error: messageOf(error) });
        process.exit(1);
      },
    );
  };
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => end(signal));
}

/** Two engines on one socket would take over each other's containers. */
function refuseSecond(host: string): Promise<void> {
  const path = unixPath(host);
  if (!path) return Promise.resolve();
  return new Promise((resolve, reject) => {
    const probe = connect(path);
    probe.once('error', () => resolve());
    probe.once('connect', () => {
      probe.destroy();
      reject(new Error(`another engine is listening on ${path}`));
    });
  });
}

const unixPath = (host: string): string | undefined =>
  host.startsWith('unix://') ? host.slice('unix://'.length) : undefined;

function listen(api: ApiServer, host: string): Promise<Server> {
  const server = api.create();
  const path = unixPath(host);
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    if (path) {
      mkdirSync(dirname(path), { recursive: true });
      rmSync(path, { force: true });
      server.listen(path, () => {
        chmodSync(path, 0o660);
        resolve(server);
      });
      return;
    }
    const tcp = /^tcp:\/\/([^:]+):(\d+)$/.exec(host);
    if (!tcp) throw new Error(`invalid host ${host}: unix:///path or tcp://address:port`);
    server.listen(Number(tcp[2]), tcp[1], () => resolve(server));
  });
}

process.on('unhandledRejection', (error) => log.error('unhandled rejection', { error: messageOf(error) }));

main().catch((error) => {
  log.error('skiffd cannot start', { error: messageOf(error) });
  process.exit(1);
});
