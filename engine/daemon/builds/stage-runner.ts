import { applyInstruction, type ConfigState, cleanPath, shellOf } from '../../build/config.ts';
import { expand } from '../../build/expand.ts';
import { type Instruction, type InstructionOf, parseTrigger } from '../../build/instructions.ts';
import { findStage, type Stage } from '../../build/plan.ts';
import { excerpt, readSource } from '../../build/source.ts';
import type { HistoryEntry, OciImageConfig, Platform } from '../../content/oci.ts';
import { EngineError, invalidParameter, messageOf } from '../../errors.ts';
import { type Digest, digestOf, shortId } from '../../store/digest.ts';
import type { Build } from './build.ts';
import { type StepResult, stepKey } from './cache.ts';
import { copyStep } from './copy-step.ts';
import { LayerTree } from './layer-tree.ts';
import type { StageOutput } from './output.ts';
import { runInstruction } from './run-instruction.ts';
import { StepFailed } from './run-step.ts';
import type { SourceTree } from './source-tree.ts';
import { makeWorkdir } from './workdir-step.ts';

/** An image while its stage is built. */
export interface StageState extends ConfigState {
  readonly platform: Platform;
  chainId: Digest | undefined;
  diffIds: Digest[];
  history: HistoryEntry[];
  created: string;
  /** Stands for all steps so far. */
  key: string;
  /** ARGs that were declared. */
  args: Map<string, string>;
}

export const emptyState = (platform: Platform): StageState => ({
  config: {},
  author: '',
  cmdSet: false,
  platform,
  chainId: undefined,
  diffIds: [],
  history: [],
  created: '',
  key: 'scratch',
  args: new Map(),
});

export function cloneState(state: StageState): StageState {
  return {
    ...state,
    cmdSet: false,
    config: structuredClone(state.config),
    diffIds: [...state.diffIds],
    history: [...state.history],
    args: new Map(state.args),
  };
}

/** The image that a state is. */
export function imageConfig(state: StageState): OciImageConfig {
  const { platform, author, config, created, diffIds, history } = state;
  return {
    architecture: platform.architecture,
    ...(platform.variant ? { variant: platform.variant } : {}),
    os: platform.os,
    ...(author ? { author } : {}),
    ...(created ? { created } : {}),
    config: config as OciImageConfig['config'],
    rootfs: { type: 'layers', diff_ids: diffIds },
    history,
  };
}

const imageIdOf = (state: StageState): string => digestOf(JSON.stringify(imageConfig(state)));

/** What a step of a layer is given. */
export interface LayerStep {
  readonly facts: unknown;
  readonly createdBy: string;
  /** Writes into the snapshot; undefined: the step makes no layer. */
  readonly work: ((snapshot: string) => Promise<void>) | undefined;
}

/** Runs the instructions of one stage. */
export class StageRunner {
  readonly build: Build;
  readonly stage: Stage;
  readonly state: StageState;
  readonly output: StageOutput;

  constructor(build: Build, stage: Stage, state: StageState, output: StageOutput) {
    this.build = build;
    this.stage = stage;
    this.state = state;
    this.output = output;
  }

  async run(): Promise<void> {
    await this.#triggers();
    for (const instruction of this.stage.instructions) {
      this.build.announce(this.output, instruction.statement.text, this.build.stepNumber(instruction));
      await this.step(instruction);
      this.sayId();
    }
  }

  sayId(): void {
    this.output.say(` ---> ${shortId(imageIdOf(this.state))}\n`);
  }

  /** ONBUILD of the base image: run first, and not inherited further. */
  async #triggers(): Promise<void> {
    const { config } = this.state;
    const triggers = config.OnBuild ?? [];
    config.OnBuild = null;
    if (triggers.length === 0) return;
    this.output.say(`# Executing ${triggers.length} build trigger${triggers.length > 1 ? 's' : ''}\n`);
    for (const trigger of triggers) await this.step(parseTrigger(readSource(trigger, 'ONBUILD')));
  }

  async step(instruction: Instruction): Promise<void> {
    try {
      await this.#dispatch(instruction);
    } catch (error) {
      throw this.#located(error, instruction);
    }
  }

  /** Docker's words, and for what the file's author can mend, the place in the file. */
  #located(error: unknown, { statement }: Instruction): Error {
    if (error instanceof StepFailed || (error instanceof EngineError && error.kind === 'cancelled')) return error;
    const message = messageOf(error);
    if (message.includes('>>>')) return error as Error;
    const kind = error instanceof EngineError ? error.kind : 'invalidParameter';
    return new EngineError(kind, `${message}\n${excerpt(this.build.source, statement)}`, error);
  }

  async #dispatch(instruction: Instruction): Promise<void> {
    switch (instruction.kind) {
      case 'arg':
        return this.#arg(instruction);
      case 'run':
        return runInstruction(this, instruction);
      case 'copy':
      case 'add':
        return copyStep(this, instruction);
      case 'workdir':
        return makeWorkdir(this, instruction);
      default:
        this.meta(applyInstruction(this.state, instruction, this.expand));
    }
  }

  #arg({ args }: InstructionOf<'arg'>): void {
    let comment = 'ARG';
    for (const [name, fallback] of args) {
      const text = fallback === undefined ? undefined : this.expand(fallback);
      comment += text === undefined ? ` ${name}` : ` ${name}=${text}`;
      const value = this.build.argument(name) ?? text ?? this.build.globalArgument(name);
      if (value !== undefined) this.state.args.set(name, value);
    }
    this.meta(comment);
  }

  /** Variables of the moment: ENV wins over ARG. */
  get variables(): Map<string, string> {
    const variables = new Map(this.state.args);
    for (const entry of this.state.config.Env ?? []) {
      const equals = entry.indexOf('=');
      variables.set(entry.slice(0, equals), entry.slice(equals + 1));
    }
    return variables;
  }

  expand = (text: string): string => expand(text, this.variables, { escape: this.build.source.escapeChar });

  /** ARGs that a process sees: those that no ENV hides. */
  visibleArgs(): [string, string][] {
    const hidden = new Set((this.state.config.Env ?? []).map((entry) => entry.split('=', 1)[0]));
    return [...this.state.args].filter(([name]) => !hidden.has(name)).sort(([a], [b]) => (a < b ? -1 : 1));
  }

  /** A change of the configuration alone. */
  meta(comment: string): void {
    const createdBy = [...shellOf(this.state.config), `#(nop) `, comment].join(' ');
    const key = stepKey(['meta', this.state.key, createdBy]);
    const { cache } = this.build;
    const own = cache.find(key, () => true);
    const known = own ?? this.build.fromCacheImages(this.state, createdBy);
    this.#counted(known !== undefined);
    const result = known ?? { layer: undefined, createdAt: this.build.now() };
    if (!own) cache.made({ key, parent: this.#parent(), description: createdBy }, result);
    this.#record(key, createdBy, result, true);
  }

  #counted(fromCache: boolean): void {
    if (fromCache) this.output.say(' ---> Using cache\n');
    this.build.counted(fromCache);
  }

  #parent(): string | undefined {
    return /^[0-9a-f]{64}$/.test(this.state.key) ? this.state.key : undefined;
  }

  /** A step that writes files: taken from the cache, or done. */
  async layer(step: LayerStep): Promise<void> {
    const { build, state } = this;
    const key = stepKey(['layer', state.chainId ?? '', build.epoch ?? '', step.facts]);
    const { snapshots } = build.parts;
    const own = build.cache.find(key, (chainId) => snapshots.hasLayer(chainId));
    const known = own ?? build.fromCacheImages(state, step.createdBy);
    this.#counted(known !== undefined);
    const result: StepResult = known ?? {
      layer: step.work && (await this.#write(step.work)),
      createdAt: build.now(),
    };
    if (!own) build.cache.made({ key, parent: this.#parent(), description: step.createdBy }, result);
    if (result.layer) {
      state.chainId = result.layer.chainId;
      state.diffIds.push(result.layer.diffId);
    }
    this.#record(
      stepKey(['at', state.key, step.createdBy, state.chainId ?? '']),
      step.createdBy,
      result,
      !result.layer,
    );
  }

  async #write(work: (snapshot: string) => Promise<void>): Promise<StepResult['layer']> {
    const { parts, signal, epoch, cache } = this.build;
    return this.build.slot(async (snapshot) => {
      parts.snapshots.prepare(snapshot, this.state.chainId);
      try {
        await work(snapshot);
        if (epoch !== undefined) await parts.snapshots.clampTimes(snapshot, epoch);
        return await parts.images.layerOf(snapshot, cache.holdLayer, signal);
      } finally {
        parts.snapshots.remove(snapshot);
      }
    });
  }

  #record(key: string, createdBy: string, result: StepResult, empty: boolean): void {
    const { state } = this;
    const created = this.build.time(result.createdAt);
    state.key = key;
    state.created = created;
    state.history.push({
      created,
      ...(state.author ? { author: state.author } : {}),
      created_by: createdBy,
      ...(empty ? { empty_layer: true } : {}),
    });
  }

  /** The files as they are now. */
  tree(): LayerTree {
    const { chainId } = this.state;
    return new LayerTree(chainId === undefined ? [] : this.build.parts.snapshots.chainDirs(chainId));
  }

  /** A stage before this one, or an image, as COPY --from and RUN --mount=from name it. */
  async from(reference: string): Promise<{ readonly chainId: Digest | undefined; readonly tree: SourceTree }> {
    const before = this.build.plan.stages.slice(0, this.stage.index);
    const stage = findStage(before, reference);
    if (!stage && reference.toLowerCase() === this.stage.name) {
      throw invalidParameter(`circular dependency detected on stage: ${reference}`);
    }
    const chainId = stage
      ? (await this.build.result(stage)).chainId
      : (await this.build.image(reference, undefined, this.output)).chainId;
    const folders = chainId === undefined ? [] : this.build.parts.snapshots.chainDirs(chainId);
    return { chainId, tree: new LayerTree(folders) };
  }

  get workingDirectory(): string {
    return cleanPath(this.state.config.WorkingDir || '/');
  }
}
