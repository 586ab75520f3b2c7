import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { shellOf } from '../../build/config.ts';
import type { InstructionOf } from '../../build/instructions.ts';
import { parseHeredoc } from '../../build/source.ts';
import { forbidden, invalidParameter } from '../../errors.ts';
import type { OciMount } from '../../runtime/spec.ts';
import { shortId } from '../../store/digest.ts';
import { contentDigest, findSources } from './copy-plan.ts';
import { runStep, StepFailed } from './run-step.ts';
import type { StageRunner } from './stage-runner.ts';
import { type MountSource, type MountWish, parseMount, StepMounts, withCacheLocks } from './step-mounts.ts';

type Run = InstructionOf<'run'>;

/** Proxy settings reach every RUN without being declared, and count neither for the cache nor for history. */
export const PROXY_ARGS = ['HTTP_PROXY', 'HTTPS_PROXY', 'FTP_PROXY', 'NO_PROXY', 'ALL_PROXY'].flatMap((name) => [
  name,
  name.toLowerCase(),
]);

interface Script {
  readonly name: string;
  readonly content: string;
}

/** RUN: a process on top of the files so far. */
export async function runInstruction(runner: StageRunner, instruction: Run): Promise<void> {
  const { state } = runner;
  const security = instruction.security === undefined ? 'sandbox' : runner.expand(instruction.security);
  if (security === 'insecure') throw forbidden('security.insecure is not allowed');
  if (security !== 'sandbox') throw invalidParameter(`security ${JSON.stringify(security)} is not valid`);
  const mode = networkOf(runner, instruction);
  const { args, script } = commandOf(runner, instruction);
  const declared = runner.visibleArgs();
  const wishes = instruction.mounts.flatMap((text) => parseMount(runner.expand(text), runner.workingDirectory) ?? []);
  const sources = new Map<MountWish, MountSource>();
  const mountFacts: unknown[] = [];
  for (const wish of wishes) {
    const { source, facts } = await mountSource(runner, wish);
    sources.set(wish, source);
    mountFacts.push(facts);
  }
  const passed = declared.length > 0 || PROXY_ARGS.some((name) => runner.build.request.buildArgs.has(name));
  const prefix = passed ? [`|${declared.length}`, ...declared.map(([name, value]) => `${name}=${value}`)] : [];
  const { Env, User, WorkingDir } = state.config;
  await runner.layer({
    facts: ['run', args, script ?? null, Env ?? [], declared, User ?? '', WorkingDir ?? '', mode, mountFacts],
    createdBy: [...prefix, ...args].join(' '),
    work: (snapshot) =>
      withCacheLocks(wishes, () => execute(runner, { snapshot, args, script, declared, mode, wishes, sources })),
  });
}

function networkOf(runner: StageRunner, { network }: Run): string {
  const own = network === undefined ? 'default' : runner.expand(network);
  if (own === 'default') return runner.build.request.networkMode;
  if (own !== 'none' && own !== 'host') throw invalidParameter(`invalid network mode: ${JSON.stringify(own)}`);
  return own;
}

/** A here-document that is the whole command is a script: for the shell, or for what its first line names. */
function commandOf(runner: StageRunner, { command, heredocs }: Run): { args: readonly string[]; script?: Script } {
  if (command.form === 'exec') return { args: command.args };
  const shell = shellOf(runner.state.config);
  const [first] = heredocs;
  if (!first) return { args: [...shell, command.text] };
  if (heredocs.length === 1 && parseHeredoc(command.text.trim())) {
    if (!first.content.startsWith('#!')) return { args: [...shell, first.content] };
    return { args: [`/dev/pipes/${first.name}`], script: { name: first.name, content: first.content } };
  }
  const bodies = heredocs.map(({ name, content }) => `${content}${name}`);
  return { args: [...shell, `${command.text}\n${bodies.join('\n')}`] };
}

/** Where a mount's files come from, and what of them the step's result depends on. */
async function mountSource(runner: StageRunner, wish: MountWish): Promise<{ source: MountSource; facts: unknown }> {
  const { type, target, source: path, writable, id, size } = wish;
  if (type === 'tmpfs') return { source: undefined, facts: [type, target, size ?? ''] };
  if (wish.from !== undefined) {
    const { chainId, tree } = await runner.from(wish.from);
    if (type === 'cache') return { source: { tree, owner: undefined }, facts: [type, target, id] };
    return { source: { chainId }, facts: [type, target, [path, writable, chainId ?? '']] };
  }
  if (type === 'cache') return { source: undefined, facts: [type, target, id] };
  const tree = runner.build.context;
  const found = findSources({ command: 'RUN', sources: [path || '.'], tree, local: true, parents: false, exclude: [] });
  const { digest } = await contentDigest(found);
  return { source: { tree, owner: { uid: 0, gid: 0 } }, facts: [type, target, path, writable, digest] };
}

interface Execution {
  readonly snapshot: string;
  readonly args: readonly string[];
  readonly script: Script | undefined;
  readonly declared: readonly [string, string][];
  readonly mode: string;
  readonly wishes: readonly MountWish[];
  readonly sources: ReadonlyMap<MountWish, MountSource>;
}

async function execute(runner: StageRunner, run: Execution): Promise<void> {
  const { build, state, output } = runner;
  const { parts, request, signal } = build;
  const { snapshot: id, args, wishes, mode } = run;
  const proxies = PROXY_ARGS.flatMap((name) => {
    const value = request.buildArgs.get(name);
    return value === undefined || state.args.has(name) ? [] : [`${name}=${value}`];
  });
  const env = [...proxies, ...run.declared.map(([name, value]) => `${name}=${value}`), ...(state.config.Env ?? [])];
  const mounts = new StepMounts(parts);
  output.say(` ---> Running in ${shortId(id)}\n`);
  try {
    const network = build.networks.get(mode);
    const { code } = await runStep(parts, {
      id,
      args,
      config: { Env: env, User: state.config.User, WorkingDir: state.config.WorkingDir },
      limits: request.limits,
      network,
      hostNetwork: network.namespace === 'host',
      mounts: async (rootfs) => {
        const made: OciMount[] = run.script ? [scriptMount(parts.runtime.bundleOf(id), run.script)] : [];
        for (const wish of wishes) made.push(await mounts.make(wish, run.sources.get(wish), rootfs, signal));
        return made;
      },
      onOutput: (text) => output.say(text),
      signal,
    });
    if (code !== 0) {
      throw new StepFailed(`The command '${args.join(' ')}' returned a non-zero code: ${code}`, code);
    }
  } finally {
    mounts.close();
  }
  mounts.removeStubs(parts.snapshots.upperDir(id), parts.snapshots.lowerDirs(id));
  if (request.remove) output.say(` ---> Removed intermediate container ${shortId(id)}\n`);
}

function scriptMount(bundle: string, { name, content }: Script): OciMount {
  const folder = join(bundle, 'scripts');
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, name), content);
  chmodSync(join(folder, name), 0o755);
  return { destination: '/dev/pipes', type: 'bind', source: folder, options: ['rbind', 'ro', 'rprivate'] };
}
