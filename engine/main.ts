import { appendFileSync } from 'node:fs';
import { flushCompileCache } from 'node:module';

import { Listeners } from './api/listeners.ts';
import { MetricsServer } from './api/metrics.ts';
import { ApiServer } from './api/server.ts';
import type { DaemonConfig } from './config.ts';
import { VERSION } from './daemon/system/identity.ts';
import { type Engine, startEngine } from './engine.ts';
import { messageOf } from './errors.ts';
import { log, setLogLevel } from './log.ts';
import { parseOptions } from './options.ts';

/** skiffd: parses its command line, starts the engine, listens, reloads and ends when told to. */
async function main(): Promise<void> {
  const options = parseOptions(process.argv.slice(2));
  const { config } = options;
  if (options.command === 'fsck') return check(options.dataRoot, options.deep);
  // Its addresses and certificates belong to what can be wrong with a configuration.
  const listeners = new Listeners(options.hosts, config);
  if (options.validate) {
    console.log('configuration OK');
    return;
  }
  setLogLevel(levelOf(config));
  await listeners.refuseSecond();
  const metrics = config['metrics-addr'] ? new MetricsServer(config['metrics-addr']) : undefined;
  const engine = await startEngine(options);
  const identity = { product: `Skiff/${VERSION} (linux)`, experimental: config.experimental };
  const api = new ApiServer(engine.routes, identity, engine.authorization);
  await listeners.open(api);
  await metrics?.open(engine.metrics);
  log.info('API listening', { hosts: options.hosts.join(' '), version: VERSION });
  if (options.notify) appendFileSync(options.notify, 'ready\n');
  // With NODE_COMPILE_CACHE set, the next start needn't compile; Node would write the cache only at its end.
  setTimeout(flushCompileCache, 2000).unref();
  process.on('SIGHUP', () => reload(engine));
  endOnSignal(engine, () => {
    listeners.close();
    metrics?.close();
  });
}

/** Ends with 0 for a consistent store, with 1 for findings, which it prints. */
async function check(dataRoot: string, deep: boolean): Promise<void> {
  // Only this command needs it: a start is not to wait for its module.
  const { fsck } = await import('./fsck.ts');
  const findings = await fsck(dataRoot, deep);
  for (const finding of findings) console.log(finding);
  console.log(findings.length === 0 ? 'consistent' : `${findings.length} findings`);
  process.exitCode = findings.length === 0 ? 0 : 1;
}

function levelOf(config: DaemonConfig): 'debug' | 'info' | 'warning' | 'error' {
  if (config.debug) return 'debug';
  const level = config['log-level'] ?? 'info';
  if (level === 'warn') return 'warning';
  return level === 'fatal' ? 'error' : level;
}

function reload(engine: Engine): void {
  try {
    const { config, applied, waiting } = engine.reload();
    setLogLevel(levelOf(config));
    log.info('configuration reloaded', { applied: applied.join(' '), waiting: waiting.join(' ') });
    if (waiting.length > 0) log.warn('these keys of daemon.json need a restart', { keys: waiting.join(' ') });
  } catch (error) {
    log.error('configuration not reloaded: everything stays as it was', { error: messageOf(error) });
  }
}

function endOnSignal(engine: Engine, stopListening: () => void): void {
  let ending = false;
  const end = (signal: string): void => {
    // A second signal means: now.
    if (ending) process.exit(1);
    ending = true;
    log.info('shutting down', { signal });
    stopListening();
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

process.on('unhandledRejection', (error) => log.error('unhandled rejection', { error: messageOf(error) }));

main().catch((error) => {
  log.error('skiffd cannot start', { error: messageOf(error) });
  process.exit(1);
});
