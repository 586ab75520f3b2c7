/** What a command of `skiff` gets, and how it answers. */
import type { Client } from '../contract/contract.ts';
import { createClient } from '../rpc/client.ts';
import { joinHost } from '../services/join-host.ts';
import { answers } from '../tunnel/listen.ts';
import { appSocketPath } from '../tunnel/socket-path.ts';
import { ensureHost } from './background.ts';

export const DONE = 0;
export const FAILED = 1;
export const USAGE = 2;
export const NOT_RUNNING = 3;

/** Wrong usage: exit code 2, with the message. */
export class UsageError extends Error {}

export interface CommandContext {
  home: string;
  /** what follows the command's name, without --json */
  args: string[];
  json: boolean;
  /** a line for people; nothing with --json */
  say(line: string): void;
  /** the answer: as JSON with --json, else as these lines */
  answer(value: unknown, lines: string | readonly string[]): void;
}

export type Command = (context: CommandContext) => Promise<number> | number;

/** For a group such as `disk`: the first argument chooses. */
export function group(name: string, commands: Record<string, Command>): Command {
  return (context) => {
    const [word = '', ...args] = context.args;
    if (!Object.hasOwn(commands, word)) {
      throw new UsageError(
        `say one of: ${Object.keys(commands)
          .map((known) => `skiff ${name} ${known}`)
          .join(', ')}`,
      );
    }
    return commands[word]!({ ...context, args });
  };
}

/** The arguments by their names; an optional one's name ends in `?`. Throws UsageError when there are too few or too many. */
export function positional(args: readonly string[], ...names: string[]): string[] {
  const least = names.filter((name) => !name.endsWith('?')).length;
  const flag = args.find((arg) => arg.startsWith('-'));
  if (flag) throw new UsageError(`unknown flag ${flag}`);
  if (args.length < least) throw new UsageError(`missing ${names[args.length]?.toUpperCase()}`);
  if (args.length > names.length) throw new UsageError(`unexpected argument “${args[names.length]}”`);
  return [...args];
}

/** With the running app; says so and ends with `code` when there is none. */
export async function withApp(
  { home, json }: Pick<CommandContext, 'home' | 'json'>,
  use: (client: Client) => Promise<number>,
  absent = 'Skiff is not running; `skiff start` starts it.',
  code = NOT_RUNNING,
): Promise<number> {
  const host = await joinHost(home);
  if (!host) {
    if (json) console.log(JSON.stringify({ running: false }));
    else console.error(absent);
    return code;
  }
  return use(createClient(await host.connect()));
}

/** With the app, running or not: one that was started for this is ended again. */
export async function withAnyApp(home: string, use: (client: Client) => Promise<number>): Promise<number> {
  const ran = await joinHost(home);
  const client = createClient(await (ran ?? (await ensureHost(home))).connect());
  try {
    return await use(client);
  } finally {
    if (!ran) await quit(client, home);
  }
}

export async function quit(client: Client, home: string): Promise<void> {
  await client.app.quit();
  // The socket goes last: then everything is closed and a new start finds nothing in its way.
  while (await answers(appSocketPath(home))) await new Promise((done) => setTimeout(done, 50));
}
