import { request } from 'node:http';
import { performance } from 'node:perf_hooks';
import type { Client } from '../contract/contract.ts';
import { milliseconds, STEP_WORDS } from './words.ts';

export interface StartReport {
  /** from QEMU's start to the answer of `/_ping` through the local socket; undefined when it ran already */
  pingAfterMs: number | undefined;
  steps: { step: string; atMs: number }[];
}

/**
 * Starts the machine through the app and tells how far it is. `/_ping` is asked through the local socket from the beginning
 * (the tunnel lets it wait), so that its time is that of the first moment at which `docker` works.
 */
export async function startMachine(
  client: Client,
  socketPath: string,
  say: (line: string) => void,
  signal?: AbortSignal,
): Promise<StartReport> {
  const watching = new AbortController();
  const steps = tellSteps(client, say, watching.signal);
  try {
    const started = client.machine.start(signal);
    const [pingAt] = await Promise.all([ping(socketPath, signal), started]);
    return await report(client, pingAt, say);
  } finally {
    watching.abort();
    await steps.catch(() => {});
  }
}

async function tellSteps(client: Client, say: (line: string) => void, signal: AbortSignal): Promise<void> {
  let told = '';
  for await (const { machine } of client.app.state(signal)) {
    if (machine.kind === 'starting' && machine.step !== told) {
      told = machine.step;
      say(`  ${STEP_WORDS[machine.step]} …`);
    }
  }
}

async function report(client: Client, pingAt: number, say: (line: string) => void): Promise<StartReport> {
  const timing = await client.machine.bootTiming();
  let running: { since: number; bootMs: number } | undefined;
  for await (const { machine } of client.app.state()) {
    if (machine.kind === 'running') running = machine;
    break;
  }
  const steps = timing?.steps ?? [];
  if (!running || running.bootMs === 0 || pingAt < running.since - running.bootMs) {
    say('The machine is running.');
    return { pingAfterMs: undefined, steps };
  }
  const pingAfterMs = pingAt - (running.since - running.bootMs);
  if (pingAfterMs > running.bootMs + 60_000) {
    say('The machine is running.');
    return { pingAfterMs: undefined, steps };
  }
  say(`QEMU started → /_ping through the local socket: ${milliseconds(pingAfterMs)}`);
  let before = 0;
  for (const { step, atMs } of steps) {
    if (atMs > 0) say(`  ${step.padEnd(7)} ${milliseconds(atMs - before).padStart(8)}   at ${milliseconds(atMs)}`);
    before = Math.max(0, atMs);
  }
  for (const { mark, uptimeMs } of timing?.guest ?? []) {
    say(`  guest: ${mark} at ${milliseconds(uptimeMs)} of its uptime`);
  }
  return { pingAfterMs, steps };
}

/** Resolves with the time (epoch) of a good answer. */
export function ping(socketPath: string, signal?: AbortSignal): Promise<number> {
  return new Promise((done, fail) => {
    const sent = request({ socketPath, path: '/_ping', agent: false, signal }, (response) => {
      const at = performance.timeOrigin + performance.now();
      let body = '';
      response.setEncoding('utf8').on('data', (part: string) => {
        body += part;
      });
      response.on('end', () => {
        if (response.statusCode === 200) done(at);
        else fail(new Error(messageIn(body)));
      });
    });
    sent.on('error', fail);
    sent.end();
  });
}

function messageIn(body: string): string {
  try {
    return JSON.parse(body).message;
  } catch {
    return body;
  }
}
