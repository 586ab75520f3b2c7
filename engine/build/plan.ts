import { invalidParameter } from '../errors.ts';
import { expand } from './expand.ts';
import type { Instruction, InstructionOf } from './instructions.ts';
import { errorAt, type Source } from './source.ts';

/** One FROM and what follows it. */
export interface Stage {
  readonly index: number;
  readonly name: string | undefined;
  readonly from: InstructionOf<'from'>;
  /** The base after variables: a stage of this file, an image, or nothing at all. */
  readonly base: { readonly stage: Stage } | { readonly image: string } | 'scratch';
  readonly platform: string | undefined;
  readonly instructions: readonly Instruction[];
  /** Stages that must be there before: its base, and what it copies or mounts from. */
  readonly needs: readonly Stage[];
}

export interface Plan {
  /** ARGs before the first FROM. */
  readonly globals: readonly InstructionOf<'arg'>[];
  /** Their values: what `FROM $x` and a bare `ARG x` in a stage see. */
  readonly globalValues: ReadonlyMap<string, string>;
  readonly stages: readonly Stage[];
  /** Stages that the target needs, in the order of the file; the target is the last. */
  readonly wanted: readonly Stage[];
}

export interface PlanOptions {
  readonly target: string;
  readonly buildArgs: ReadonlyMap<string, string>;
  /** BUILDPLATFORM, TARGETARCH and their kind. */
  readonly platformArgs: ReadonlyMap<string, string>;
}

/** Puts instructions into stages, finds the target and all it needs. */
export function makePlan(source: Source, instructions: readonly Instruction[], options: PlanOptions): Plan {
  const firstFrom = instructions.findIndex(({ kind }) => kind === 'from');
  const before = firstFrom < 0 ? instructions : instructions.slice(0, firstFrom);
  const stray = before.find(({ kind }) => kind !== 'arg');
  if (stray) throw errorAt(source, stray.statement, 'no build stage in current context');
  if (firstFrom < 0) throw invalidParameter('no build stage in current context');
  const globals = before as InstructionOf<'arg'>[];
  const values = globalValues(source, globals, options);
  const stages: Stage[] = [];
  for (let at = firstFrom; at < instructions.length; ) {
    const from = instructions[at] as InstructionOf<'from'>;
    let end = at + 1;
    while (end < instructions.length && instructions[end]?.kind !== 'from') end++;
    stages.push(makeStage(source, from, instructions.slice(at + 1, end), stages, values));
    at = end;
  }
  const target = findTarget(stages, options.target);
  const wanted = new Set<Stage>();
  const want = (stage: Stage): void => {
    if (wanted.has(stage)) return;
    wanted.add(stage);
    for (const need of stage.needs) want(need);
  };
  want(target);
  return { globals, globalValues: values, stages, wanted: stages.filter((stage) => wanted.has(stage)) };
}

function globalValues(source: Source, globals: readonly InstructionOf<'arg'>[], options: PlanOptions) {
  const values = new Map(options.platformArgs);
  for (const { args } of globals) {
    for (const [name, fallback] of args) {
      const given = options.buildArgs.get(name);
      if (given !== undefined) values.set(name, given);
      else if (fallback !== undefined) values.set(name, expand(fallback, values, { escape: source.escapeChar }));
    }
  }
  return values;
}

function makeStage(
  source: Source,
  from: InstructionOf<'from'>,
  instructions: readonly Instruction[],
  before: readonly Stage[],
  values: ReadonlyMap<string, string>,
): Stage {
  const word = (text: string): string => {
    try {
      return expand(text, values, { escape: source.escapeChar });
    } catch (error) {
      throw errorAt(source, from.statement, error instanceof Error ? error.message : String(error));
    }
  };
  const image = word(from.image);
  if (image === '') throw errorAt(source, from.statement, `base name (${from.image}) should not be blank`);
  const parent = before.findLast(({ name }) => name === image.toLowerCase());
  const base: Stage['base'] = parent ? { stage: parent } : image === 'scratch' ? 'scratch' : { image };
  const needs = new Set<Stage>(parent ? [parent] : []);
  for (const instruction of instructions) {
    for (const reference of references(instruction)) {
      const found = findStage(before, reference);
      if (found) needs.add(found);
      else if (from.name !== undefined && reference.toLowerCase() === from.name) {
        throw errorAt(source, instruction.statement, `circular dependency detected on stage: ${reference}`);
      } else if (/^\d+$/.test(reference)) {
        throw errorAt(source, instruction.statement, `invalid from flag value ${reference}: invalid stage index`);
      }
    }
  }
  const platform = from.platform === undefined ? undefined : word(from.platform) || undefined;
  return { index: before.length, name: from.name, from, base, platform, instructions, needs: [...needs] };
}

/** Stages that an instruction may read from, by the names it says. */
function references(instruction: Instruction): string[] {
  if (instruction.kind === 'copy' || instruction.kind === 'add') return instruction.from ? [instruction.from] : [];
  if (instruction.kind !== 'run') return [];
  return instruction.mounts.flatMap((mount) => /(?:^|,)from=([^,]*)/.exec(mount)?.[1] ?? []);
}

/** A stage by name or by number. */
export function findStage(stages: readonly Stage[], reference: string): Stage | undefined {
  const named = stages.findLast(({ name }) => name === reference.toLowerCase());
  if (named) return named;
  return /^\d+$/.test(reference) ? stages[Number(reference)] : undefined;
}

function findTarget(stages: readonly Stage[], target: string): Stage {
  if (target === '') return stages.at(-1) as Stage;
  const stage = findStage(stages, target);
  if (!stage) throw invalidParameter(`target stage ${JSON.stringify(target)} could not be found`);
  return stage;
}
