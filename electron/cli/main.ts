#!/usr/bin/env node
import { spawn } from 'node:child_process';
import { parseArgs } from 'node:util';
import type { Client } from '../contract/contract.ts';
import type { AppState, MachineFigures } from '../contract/state.ts';
import { AppError, createClient } from '../rpc/client.ts';
import { joinHost } from '../services/join-host.ts';
import { appVersion } from '../services/locations.ts';
import { engineSocketPath, skiffHome } from '../tunnel/socket-path.ts';
import { ensureHost } from './background.ts';
import { openInBrowser } from './browser.ts';
import {
  type Command,
  type CommandContext,
  DONE,
  FAILED,
  NOT_RUNNING,
  positional,
  quit,
  USAGE,
  UsageError,
  withApp,
} from './command.ts';
import { completion } from './completion.ts';
import { diagnose, disk, reset, snapshot, updateImage } from './machine-commands.ts';
import { config, context, env } from './settings-commands.ts';
import { startMachine } from './start-machine.ts';
import { figureLines, HELP, stateLines } from './words.ts';

const home = skiffHome();
const socketPath = engineSocketPath(home);

const commands: Record<string, Command> = {
  async start({ args, say, json, answer }) {
    positional(args);
    const client = createClient(await (await ensureHost(home)).connect());
    const report = await startMachine(client, socketPath, say);
    if (json) answer({ running: true, socketPath, ...report }, []);
    return DONE;
  },
  stop(given) {
    positional(given.args);
    return withApp(
      given,
      async (client) => {
        await quit(client, home);
        given.answer({ running: false }, []);
        return DONE;
      },
      'Skiff is not running.',
      DONE,
    );
  },
  restart(given) {
    positional(given.args);
    return withApp(given, async (client) => {
      await client.machine.stop();
      const report = await startMachine(client, socketPath, given.say);
      if (given.json) given.answer({ running: true, socketPath, ...report }, []);
      return DONE;
    });
  },
  async status({ args, answer }) {
    positional(args);
    const host = await joinHost(home);
    if (!host) {
      answer({ running: false, home, socketPath }, 'Skiff is not running.');
      return NOT_RUNNING;
    }
    const client = createClient(await host.connect());
    const [info, state] = [await client.app.info(), await presentState(client)];
    const figures = await presentFigures(client, state);
    answer({ running: true, ...info, ...state, figures }, [
      ...stateLines(state),
      ...(figures ? figureLines(figures) : []),
      `socket    ${info.socketPath}`,
    ]);
    return state.engine.kind === 'ready' ? DONE : NOT_RUNNING;
  },
  open(given) {
    positional(given.args);
    return withApp(given, async (client) => {
      const { url } = await client.app.openWeb();
      given.answer({ url }, url);
      openInBrowser(url);
      return DONE;
    });
  },
  logs(given) {
    const options = { lines: { type: 'string', short: 'n', default: '200' } } as const;
    const { values } = parseArgs({ args: given.args, options });
    return withApp(given, async (client) => {
      const lines = await client.app.consoleLog(Number(values.lines));
      given.answer(lines, lines);
      return DONE;
    });
  },
  ssh(given) {
    return withApp(given, async (client) => {
      const [command = 'ssh', ...options] = await client.machine.sshCommand();
      const child = spawn(command, [...options, ...given.args], { stdio: 'inherit' });
      return new Promise<number>((done, fail) => {
        child.once('error', fail);
        child.once('exit', (code) => done(code ?? FAILED));
      });
    });
  },
  env,
  config,
  context,
  disk,
  snapshot,
  reset,
  diagnose,
  'update-image': updateImage,
  completion,
  version({ answer }) {
    answer({ version: appVersion() }, appVersion());
    return DONE;
  },
  help({ answer }) {
    answer({ help: HELP }, HELP);
    return DONE;
  },
};

async function presentState(client: Client): Promise<AppState> {
  for await (const state of client.app.state()) return state;
  throw new Error('Skiff told no state.');
}

async function presentFigures(client: Client, { machine }: AppState): Promise<MachineFigures | undefined> {
  if (machine.kind !== 'running' && machine.kind !== 'degraded') return undefined;
  for await (const figures of client.machine.figures(1_000, AbortSignal.timeout(5_000))) return figures;
  return undefined;
}

/** `--json` may stand anywhere, except in what `ssh` runs in the machine. */
function contextFor(name: string, given: string[]): CommandContext {
  const json = name !== 'ssh' && given.includes('--json');
  const print = (lines: string | readonly string[]) => {
    for (const line of typeof lines === 'string' ? [lines] : lines) console.log(line);
  };
  return {
    home,
    json,
    args: json ? given.filter((arg) => arg !== '--json') : given,
    say: (line) => {
      if (!json) console.log(line);
    },
    answer: (value, lines) => print(json ? JSON.stringify(value, undefined, 2) : lines),
  };
}

async function run(): Promise<number> {
  const [given = 'help', ...args] = process.argv.slice(2);
  const name = given.replace(/^--?(help|version|h|v)$/, (_, flag: string) => (flag[0] === 'h' ? 'help' : 'version'));
  const context = contextFor(name, args);
  if (!Object.hasOwn(commands, name)) {
    console.error(`skiff: unknown command “${name}”\n\n${HELP}`);
    return USAGE;
  }
  try {
    return await commands[name]!(context);
  } catch (error) {
    const { message, code } = error as Error & { code?: string };
    const { hint = '', detail = '' } = error instanceof AppError ? error : {};
    if (context.json) console.error(JSON.stringify({ error: { message, hint, detail } }));
    else {
      console.error(`skiff ${name}: ${message}`);
      for (const line of [hint, detail]) if (line) console.error(line);
    }
    return error instanceof UsageError || code?.startsWith('ERR_PARSE_ARGS') ? USAGE : FAILED;
  }
}

process.exit(await run());
