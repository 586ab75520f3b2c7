import { applyInstruction, shellOf } from '../../build/config.ts';
import type { InstructionOf } from '../../build/instructions.ts';
import { LayerBuilder } from './layer-builder.ts';
import { bytesOf, resolve } from './source-tree.ts';
import type { StageRunner } from './stage-runner.ts';

/** WORKDIR: the directory is made where it doesn't exist. */
export async function makeWorkdir(runner: StageRunner, instruction: InstructionOf<'workdir'>): Promise<void> {
  const { state, build } = runner;
  const comment = applyInstruction(state, instruction, runner.expand);
  const path = bytesOf(runner.workingDirectory.slice(1));
  const tree = runner.tree();
  const exists = path === '' || resolve(tree, path) !== undefined;
  await runner.layer({
    facts: ['workdir', runner.workingDirectory],
    createdBy: [...shellOf(state.config), `#(nop) ${comment}`].join(' '),
    work: exists
      ? undefined
      : async (snapshot) => {
          const { snapshots } = build.parts;
          const options = { owner: undefined, mode: undefined, now: build.seconds(), signal: build.signal };
          const builder = new LayerBuilder(snapshots.upperDir(snapshot), snapshots.lowerDirs(snapshot), options);
          builder.makeDirectory(path);
          builder.finish();
        },
  });
}
