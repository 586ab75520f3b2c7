import { parseChmod } from '../../build/chmod.ts';
import { shellOf } from '../../build/config.ts';
import { expand } from '../../build/expand.ts';
import { isGitUrl, isUrl } from '../../build/git-url.ts';
import type { InstructionOf } from '../../build/instructions.ts';
import { invalidParameter } from '../../errors.ts';
import { addRepository, addUrl, fileSource, isArchive } from './add-source.ts';
import { BuildContext } from './context.ts';
import { type CopySource, contentDigest, findSources } from './copy-plan.ts';
import { LayerBuilder, type Owner } from './layer-builder.ts';
import { resolveOwner } from './owner.ts';
import { bytesOf } from './source-tree.ts';
import type { StageRunner } from './stage-runner.ts';

type Copy = InstructionOf<'copy' | 'add'>;

/** COPY and ADD. */
export async function copyStep(runner: StageRunner, instruction: Copy): Promise<void> {
  const { build, state } = runner;
  const command = instruction.kind === 'add' ? 'ADD' : 'COPY';
  const sources = await collect(runner, instruction, command);
  const destination = runner.expand(instruction.destination);
  if (sources.length > 1 && !destination.endsWith('/') && destination !== '.') {
    throw invalidParameter(
      `When using ${command} with more than one source file, the destination must be a directory and end with a /`,
    );
  }
  const absolute = destination.startsWith('/') ? destination : `${runner.workingDirectory}/${destination}`;
  const owner = await ownerOf(runner, instruction);
  const chmod = instruction.chmod === undefined ? undefined : runner.expand(instruction.chmod);
  const mode = chmod === undefined ? undefined : parseChmod(chmod);
  const { type, digest } = await contentDigest(sources);
  const chown = instruction.chown === undefined ? '' : `--chown=${runner.expand(instruction.chown)} `;
  await runner.layer({
    facts: [
      'copy',
      absolute,
      destination.endsWith('/') || destination === '.',
      digest,
      type,
      owner ?? null,
      chmod ?? null,
      instruction.exclude,
    ],
    createdBy: [...shellOf(state.config), `#(nop) ${command} ${chown}${type}:${digest} in ${destination} `].join(' '),
    work: async (snapshot) => {
      const { snapshots } = build.parts;
      const options = { owner, mode, now: build.seconds(), signal: build.signal };
      const builder = new LayerBuilder(snapshots.upperDir(snapshot), snapshots.lowerDirs(snapshot), options);
      const target = bytesOf(absolute);
      try {
        const isDirectory = /(^|\/)\.?$/.test(destination) || sources.length > 1 || builder.isDirectory(target);
        for (const source of sources) await builder.copy((await source.open?.()) ?? source, target, isDirectory);
        builder.finish();
      } catch (error) {
        builder.abort();
        throw error;
      }
    },
  });
}

async function collect(runner: StageRunner, instruction: Copy, command: string): Promise<CopySource[]> {
  const words = instruction.sources.map(runner.expand);
  const found: CopySource[] = [];
  const plain: string[] = [];
  for (const word of words) {
    if (instruction.kind === 'add' && isGitUrl(word)) found.push(await addRepository(runner, instruction, word));
    else if (instruction.kind === 'add' && isUrl(word)) found.push(await addUrl(runner, instruction, word));
    else plain.push(word);
  }
  if (plain.length > 0) {
    const from = instruction.from === undefined ? undefined : await runner.from(runner.expand(instruction.from));
    const tree = from?.tree ?? runner.build.context;
    const { parents } = instruction;
    const exclude = instruction.exclude.map(runner.expand);
    const local = from === undefined;
    for (const source of findSources({ command, sources: plain, tree, local, parents, exclude })) {
      const wanted = instruction.kind === 'add' && local && (instruction.unpack ?? true) && source.node.type === 'file';
      found.push(wanted && (await isArchive(source)) ? { ...source, archive: true } : source);
    }
  }
  for (const heredoc of instruction.heredocs) found.push(await inline(runner, heredoc));
  return found;
}

/** A here-document as a file. */
async function inline(
  runner: StageRunner,
  { name, expand: expands, content }: Copy['heredocs'][number],
): Promise<CopySource> {
  const { build } = runner;
  const text = expands ? expand(content, runner.variables, { escape: build.source.escapeChar, raw: true }) : content;
  const bytes = bytesOf(name);
  const tree = await BuildContext.ofFile(bytes, [Buffer.from(text)], {
    spool: build.spool(),
    limit: Number.POSITIVE_INFINITY,
    mtime: build.seconds(),
    mode: 0o644,
  });
  return fileSource(tree, bytes);
}

/** From the context everything becomes root's; from a stage owners stay, unless --chown says otherwise. */
async function ownerOf(runner: StageRunner, instruction: Copy): Promise<Owner | undefined> {
  if (instruction.chown !== undefined) return resolveOwner(runner.tree(), runner.expand(instruction.chown));
  return instruction.from === undefined ? { uid: 0, gid: 0 } : undefined;
}
