#!/usr/bin/env node
import { spawn } from 'node:child_process';
import { parseArgs } from 'node:util';
import type { Client } from '../contract/contract.ts';
import type { AppState } from '../contract/state.ts';
import { AppError, createClient } from '../rpc/client.ts';
import { joinHost } from '../services/join-host.ts';
import { appVersion } from '../services/locations.ts';
import { answers } from '../tunnel/listen.ts';
import { appSocketPath, dockerHost, engineSocketPath, skiffHome } from '../tunnel/socket-path.ts';
import { ensureHost } from './background.ts';
import { openInBrowser } from './browser.ts';
import { startMachine } from './start-machine.ts';
import { HELP, stateLines } from './words.ts';

const DONE = 0;
const FAILED = 1;
const USAGE = 2;
const NOT_RUNNING = 3;

const home = skiffHome();
const socketPath = engineSocketPath(home);
const say = (line: string) => console.log(line);

const commands: Record<string, (args: string[]) => Promise<number> | number> = {
  async start() {
    const client = createClient(await (await ensureHost(home)).connect());
    await startMachine(client, socketPath, say);
    return DONE;
  },
  async stop() {
    return withApp(
      async (client) => {
        await client.app.quit();
        // The socket goes last: then everything is closed and a new start finds nothing in its way.
        while (await answers(appSocketPath(home))) await new Promise((done) => setTimeout(done, 50));
        return DONE;
      },
      'Skiff is not running.',
      DONE,
    );
  },
  async restart() {
    return withApp(async (client) => {
      await client.machine.stop();
      await startMachine(client, socketPath, say);
      return DONE;
    });
  },
  async status(args) {
    const { values } = parseArgs({ args, options: { json: { type: 'boolean' } } });
    const host = await joinHost(home);
    if (!host) {
      say(values.json ? JSON.stringify({ running: false, home, socketPath }) : 'Skiff is not running.');
      return NOT_RUNNING;
    }
    const client = createClient(await host.connect());
    const [info, state] = [await client.app.info(), await presentState(client)];
    if (values.json) say(JSON.stringify({ running: true, ...info, ...state }, undefined, 2));
    else for (const line of [...stateLines(state), `socket    ${info.socketPath}`]) say(line);
    return state.engine.kind === 'ready' ? DONE : NOT_RUNNING;
  },
  async open() {
    return withApp(async (client) => {
      const { url } = await client.app.openWeb();
      say(url);
      openInBrowser(url);
      return DONE;
    });
  },
  async logs(args) {
    const { values } = parseArgs({ args, options: { lines: { type: 'string', short: 'n', default: '200' } } });
    return withApp(async (client) => {
      for (const line of await client.app.consoleLog(Number(values.lines))) say(line);
      return DONE;
    });
  },
  async ssh(args) {
    return withApp(async (client) => {
      const [command = 'ssh', ...options] = await client.machine.sshCommand();
      const child = spawn(command, [...options, ...args], { stdio: 'inherit' });
      return new Promise<number>((done, fail) => {
        child.once('error', fail);
        child.once('exit', (code) => done(code ?? FAILED));
      });
    });
  },
  env() {
    say(`export DOCKER_HOST=${dockerHost(socketPath)}`);
    return DONE;
  },
  version() {
    say(appVersion());
    return DONE;
  },
  help() {
    say(HELP);
    return DONE;
  },
};

async function withApp(
  use: (client: Client) => Promise<number>,
  absent = 'Skiff is not running; `skiff start` starts it.',
  code = NOT_RUNNING,
): Promise<number> {
  const host = await joinHost(home);
  if (!host) {
    console.error(absent);
    return code;
  }
  return use(createClient(await host.connect()));
}

async function presentState(client: Client): Promise<AppState> {
  for await (const state of client.app.state()) return state;
  throw new Error('Skiff told no state.');
}

async function run(): Promise<number> {
  const [name = 'help', ...args] = process.argv.slice(2);
  const command =
    commands[name.replace(/^--?(help|version|h|v)$/, (_, flag: string) => (flag[0] === 'h' ? 'help' : 'version'))];
  if (!command) {
    console.error(`skiff: unknown command “${name}”\n\n${HELP}`);
    return USAGE;
  }
  try {
    return await command(args);
  } catch (error) {
    console.error(`skiff ${name}: ${(error as Error).message}`);
    if (error instanceof AppError && error.hint) console.error(error.hint);
    if (error instanceof AppError && error.detail) console.error(error.detail);
    return (error as { code?: string }).code?.startsWith('ERR_PARSE_ARGS') ? USAGE : FAILED;
  }
}

process.exit(await run());
