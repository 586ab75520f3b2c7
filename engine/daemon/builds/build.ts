import { rmSync } from 'node:fs';
import { join } from 'node:path';

import { checkDockerfile, showWarnings, violation, type Warning } from '../../build/checks.ts';
import { applyInstruction, type BuildConfig } from '../../build/config.ts';
import { type Instruction, parseInstructions } from '../../build/instructions.ts';
import { makePlan, type Plan, type Stage } from '../../build/plan.ts';
import { readSource, type Source } from '../../build/source.ts';
import type { Platform } from '../../content/oci.ts';
import { parsePlatform } from '../../content/platform.ts';
import { familiar, type ImageRef, parseReference, withDefaultTag } from '../../content/reference.ts';
import { cancelled, invalidParameter, isKind } from '../../errors.ts';
import { type Digest, shortId } from '../../store/digest.ts';
import { newId } from '../ids.ts';
import type { Image } from '../images/images.ts';
import { CacheSession, type StepResult } from './cache.ts';
import type { BuildContext } from './context.ts';
import type { BuildOutput, StageOutput } from './output.ts';
import type { BuildParts } from './parts.ts';
import { registryAuth } from './registry-auth.ts';
import type { BuildRequest } from './request.ts';
import { PROXY_ARGS } from './run-instruction.ts';
import { cloneState, emptyState, imageConfig, StageRunner, type StageState } from './stage-runner.ts';
import { StepNetworks } from './step-network.ts';

/** RUN and COPY steps at once, over all stages of a build. */
const PARALLEL_STEPS = 4;

export interface BuildInput {
  readonly id: string;
  readonly request: BuildRequest;
  readonly context: BuildContext;
  readonly dockerfile: { readonly name: string; readonly text: string };
  /** Folder that goes when the build has ended. */
  readonly scratch: string;
  readonly output: BuildOutput;
  readonly signal: AbortSignal;
}

/** One build: from the parsed file to the image. */
export class Build {
  readonly parts: BuildParts;
  readonly request: BuildRequest;
  readonly context: BuildContext;
  readonly source: Source;
  readonly plan: Plan;
  readonly cache: CacheSession;
  readonly networks: StepNetworks;
  readonly signal: AbortSignal;
  /** SOURCE_DATE_EPOCH, seconds: nothing in the image is newer. */
  readonly epoch: number | undefined;
  readonly names: readonly ImageRef[];
  steps = 0;
  cached = 0;
  readonly total: number;
  readonly #output: BuildOutput;
  readonly #scratch: string;
  readonly #stop = new AbortController();
  readonly #results = new Map<Stage, Promise<StageState>>();
  readonly #outputs = new Map<Stage, StageOutput>();
  readonly #numbers = new Map<Instruction, number>();
  readonly #platformArgs: ReadonlyMap<string, string>;
  readonly #checked: { readonly warnings: readonly Warning[]; readonly error: boolean };
  readonly #consumed = new Set<string>();
  readonly #platform: Platform;
  readonly #images = new Map<string, Promise<Image>>();
  readonly #waiting: (() => void)[] = [];
  #running = 0;
  #spools = 0;

  /** Reads the Dockerfile and refuses what can't be built, before anything runs. */
  constructor(parts: BuildParts, input: BuildInput) {
    const { request, context, dockerfile } = input;
    this.parts = parts;
    this.request = request;
    this.context = context;
    this.#scratch = input.scratch;
    this.#output = input.output;
    this.signal = AbortSignal.any([input.signal, this.#stop.signal]);
    const host = parts.images.platform;
    this.#platform = request.platform ? parsePlatform(request.platform, host) : host;
    this.#platformArgs = platformArgs(this.#platform, host);
    this.epoch = epochOf(request.buildArgs.get('SOURCE_DATE_EPOCH'));
    this.names = request.tags.map(parseTag);
    this.source = readSource(dockerfile.text, dockerfile.name);
    const instructions = parseInstructions(this.source);
    const check = request.buildArgs.get('BUILDKIT_DOCKERFILE_CHECK') ?? this.source.check;
    this.#checked = checkDockerfile(this.source, instructions, check);
    this.plan = makePlan(this.source, instructions, {
      target: request.target,
      buildArgs: request.buildArgs,
      platformArgs: this.#platformArgs,
    });
    this.cache = new CacheSession(parts.cache, parts.images, request.noCache);
    this.networks = new StepNetworks(parts);
    this.total = this.#count();
  }

  #count(): number {
    let number = this.plan.globals.length;
    for (const { from, instructions } of this.plan.wanted) {
      for (const instruction of [from, ...instructions]) this.#numbers.set(instruction, ++number);
    }
    return number + (Object.keys(this.request.labels).length > 0 ? 1 : 0);
  }

  /** Runs what the target needs. @returns the image's id */
  async run(): Promise<Digest> {
    const { wanted, globals } = this.plan;
    try {
      if (this.#checked.error) {
        this.#output.say(showWarnings(this.#checked.warnings));
        throw violation(this.#checked.warnings);
      }
      const first = this.#output.stage();
      globals.forEach(({ statement, args }, index) => {
        this.announce(first, statement.text, index + 1);
        for (const [name] of args) if (this.request.buildArgs.has(name)) this.#consumed.add(name);
      });
      first.end();
      for (const stage of wanted) this.#outputs.set(stage, this.#output.stage());
      const results = wanted.map((stage) => this.result(stage));
      for (const result of results) result.catch((error: unknown) => this.#stop.abort(error));
      // All have ended before anything is taken away under them; the first failure is the one to tell.
      await Promise.allSettled(results);
      if (this.#stop.signal.aborted && this.#stop.signal.reason) throw this.#stop.signal.reason;
      const state = await (results.at(-1) as Promise<StageState>);
      return await this.#finish(state);
    } finally {
      this.#output.flush();
      this.networks.close();
      await this.cache.close();
    }
  }

  async #finish(state: StageState): Promise<Digest> {
    if (this.signal.aborted) throw cancelled();
    if (state.history.length === 0 && state.diffIds.length === 0)
      throw invalidParameter('No image was generated. Is your Dockerfile empty?');
    this.#warn();
    const { images } = this.parts;
    const id = await images.addBuilt({
      config: imageConfig(state),
      names: this.names,
      alongside: () => this.cache.write(),
    });
    this.#output.line({ aux: { ID: id } });
    this.#output.say(`Successfully built ${shortId(id)}\n`);
    for (const name of this.names) this.#output.say(`Successfully tagged ${familiar(name)}\n`);
    return id;
  }

  #warn(): void {
    const known = [
      ...PROXY_ARGS,
      ...this.#platformArgs.keys(),
      'SOURCE_DATE_EPOCH',
      'BUILDKIT_INLINE_CACHE',
      'BUILDKIT_CONTEXT_KEEP_GIT_DIR',
      'BUILDKIT_DOCKERFILE_CHECK',
    ];
    const left = [...this.request.buildArgs.keys()].filter(
      (name) => !this.#consumed.has(name) && !known.includes(name),
    );
    if (left.length > 0)
      this.#output.say(`[Warning] One or more build-args [${left.sort().join(' ')}] were not consumed\n`);
    const { warnings } = this.#checked;
    if (warnings.length > 0) this.#output.say(showWarnings(warnings));
  }

  /** A stage's outcome; it is built once. */
  result(stage: Stage): Promise<StageState> {
    let result = this.#results.get(stage);
    if (!result) {
      result = this.#runStage(stage);
      this.#results.set(stage, result);
    }
    return result;
  }

  async #runStage(stage: Stage): Promise<StageState> {
    const output = this.#outputs.get(stage) ?? this.#output.stage();
    try {
      const base = await this.#base(stage, output);
      const runner = new StageRunner(this, stage, base, output);
      if (stage.base !== 'scratch') runner.sayId();
      await runner.run();
      if (stage === this.plan.wanted.at(-1)) this.#addLabels(runner);
      return runner.state;
    } finally {
      output.end();
    }
  }

  /** Where a stage starts. An image's own ARGs are not the stage's; another stage's are. */
  async #base(stage: Stage, output: StageOutput): Promise<StageState> {
    const { base, from } = stage;
    if (typeof base === 'object' && 'stage' in base) {
      const parent = await this.result(base.stage);
      this.announce(output, from.statement.text, this.stepNumber(from));
      return cloneState(parent);
    }
    this.announce(output, from.statement.text, this.stepNumber(from));
    const platform = stage.platform ? parsePlatform(stage.platform, this.#platform) : this.#platform;
    if (base === 'scratch') return { ...emptyState(platform), config: withPath({}) };
    const wanted = stage.platform ?? this.request.platform;
    const image = await this.image(base.image, wanted || undefined, output);
    const { config } = image;
    return {
      ...emptyState({
        os: config.os,
        architecture: config.architecture,
        ...(config.variant ? { variant: config.variant } : {}),
      }),
      config: withPath(structuredClone(config.config ?? {}) as BuildConfig),
      author: config.author ?? '',
      chainId: image.chainId,
      diffIds: [...config.rootfs.diff_ids],
      history: [...(config.history ?? [])],
      created: config.created ?? '',
      key: `image ${image.id}`,
    };
  }

  /** --label: one more step, as the classic builder has it. */
  #addLabels(runner: StageRunner): void {
    const entries = Object.entries(this.request.labels).sort(([a], [b]) => (a < b ? -1 : 1));
    if (entries.length === 0) return;
    const text = `LABEL${entries.map(([name, value]) => ` ${name}=${value}`).join('')}`;
    this.announce(runner.output, text, this.total);
    const statement = { keyword: 'LABEL', word: 'LABEL', flags: [], rest: '', text, line: 1, endLine: 1, heredocs: [] };
    runner.meta(applyInstruction(runner.state, { kind: 'label', statement, pairs: entries }, (word) => word));
    runner.sayId();
  }

  /** An image by name: what is here, or pulled; each once per build. */
  image(name: string, platform: string | undefined, output: StageOutput): Promise<Image> {
    const key = `${name} ${platform ?? ''}`;
    let image = this.#images.get(key);
    if (!image) {
      image = this.#findImage(name, platform, output);
      this.#images.set(key, image);
    }
    return image;
  }

  async #findImage(name: string, platform: string | undefined, output: StageOutput): Promise<Image> {
    const { images } = this.parts;
    let image = this.request.pull ? undefined : this.#local(name, platform);
    if (!image) {
      const auth = registryAuth(this.request.registries, parseReference(name).domain);
      const ref = withDefaultTag(parseReference(name));
      await images.pull({ image: familiar(ref), platform, auth }, (line) => output.line(line), this.signal);
      image = images.get(familiar(ref), platform);
    }
    if (image.chainId) this.cache.hold(image.chainId);
    return image;
  }

  #local(name: string, platform: string | undefined): Image | undefined {
    try {
      return this.parts.images.get(name, platform);
    } catch (error) {
      if (isKind(error, 'notFound')) return undefined;
      throw error;
    }
  }

  /** A step that an image of --cache-from has made before. */
  fromCacheImages(state: StageState, createdBy: string): StepResult | undefined {
    if (this.request.noCache) return undefined;
    for (const name of this.request.cacheFrom) {
      const image = this.#local(name, undefined);
      const history = image?.config.history ?? [];
      const at = state.history.length;
      if (!image || history.length <= at || history[at]?.created_by !== createdBy) continue;
      if (state.history.some((entry, index) => history[index]?.created_by !== entry.created_by)) continue;
      const layers = history.slice(0, at + 1).filter((entry) => !entry.empty_layer).length;
      const diffIds = image.config.rootfs.diff_ids.slice(0, layers);
      if (state.diffIds.some((diffId, index) => diffIds[index] !== diffId)) continue;
      const createdAt = Date.parse(history[at]?.created ?? '') || this.now();
      if (diffIds.length === state.diffIds.length) return { layer: undefined, createdAt };
      const chainId = this.parts.snapshots.chainOf(diffIds);
      if (!this.parts.snapshots.hasLayer(chainId)) continue;
      this.cache.hold(chainId);
      return { layer: { diffId: diffIds.at(-1) as Digest, chainId }, createdAt };
    }
    return undefined;
  }

  /** Runs a step when there is room for it, with the id of a snapshot of its own. */
  async slot<T>(work: (snapshot: string) => Promise<T>): Promise<T> {
    if (this.#running >= PARALLEL_STEPS) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    else this.#running++;
    try {
      if (this.signal.aborted) throw cancelled();
      return await work(newId());
    } finally {
      const next = this.#waiting.shift();
      if (next) next();
      else this.#running--;
    }
  }

  announce(output: StageOutput, text: string, number: number): void {
    if (this.signal.aborted) throw cancelled();
    output.say(`Step ${number}/${this.total} : ${text}\n`);
  }

  stepNumber(instruction: Instruction): number {
    return this.#numbers.get(instruction) ?? 0;
  }

  counted(fromCache: boolean): void {
    this.steps++;
    if (fromCache) this.cached++;
  }

  /** The value a client gave for an ARG. */
  argument(name: string): string | undefined {
    this.#consumed.add(name);
    return this.request.buildArgs.get(name);
  }

  /** What an ARG before FROM, or the platform, says. */
  globalArgument(name: string): string | undefined {
    return this.plan.globalValues.get(name);
  }

  now(): number {
    return this.epoch === undefined ? Date.now() : this.epoch * 1000;
  }

  seconds(): number {
    return Math.floor(this.now() / 1000);
  }

  time(at: number): string {
    return new Date(this.epoch === undefined ? at : this.epoch * 1000).toISOString().replace(/\.000Z$/, 'Z');
  }

  spool(): string {
    return join(this.#scratch, `spool-${this.#spools++}`);
  }

  close(): void {
    rmSync(this.#scratch, { recursive: true, force: true });
  }
}

const DEFAULT_PATH = 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** Every image that is built says its PATH (moby setDefaultPath). */
const withPath = (config: BuildConfig): BuildConfig =>
  config.Env?.some((entry) => entry.startsWith('PATH='))
    ? config
    : { ...config, Env: [...(config.Env ?? []), DEFAULT_PATH] };

function parseTag(text: string): ImageRef {
  const ref = parseReference(text);
  if (ref.digest !== undefined) throw invalidParameter('build tag cannot contain a digest');
  return withDefaultTag(ref);
}

function epochOf(text: string | undefined): number | undefined {
  if (text === undefined || text === '') return undefined;
  if (!/^\d+$/.test(text)) throw invalidParameter(`invalid SOURCE_DATE_EPOCH: ${text}`);
  return Number(text);
}

function platformArgs(target: Platform, build: Platform): ReadonlyMap<string, string> {
  const of = (prefix: string, platform: Platform): [string, string][] => [
    [`${prefix}PLATFORM`, [platform.os, platform.architecture, platform.variant].filter(Boolean).join('/')],
    [`${prefix}OS`, platform.os],
    [`${prefix}ARCH`, platform.architecture],
    [`${prefix}VARIANT`, platform.variant ?? ''],
  ];
  return new Map([...of('BUILD', build), ...of('TARGET', target)]);
}
