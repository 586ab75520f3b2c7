import { randomUUID } from 'node:crypto';
import type { Implementation } from '../contract/contract.ts';
import type { Task, TaskKind, TaskPart } from '../contract/tasks.ts';
import { ServiceError, toWire } from './errors.ts';
import { Topic } from './topic.ts';

/** Ended tasks that are kept, and how much of each one's log. */
const KEPT = 50;
const LONGEST_LOG = 1024 * 1024;
/** Layers report many times a second; people see ten of them. */
const EVERY_MS = 100;

/** What the work of a task tells. */
export interface Job {
  readonly signal: AbortSignal;
  status(words: string): void;
  progress(current: number, total: number): void;
  part(part: TaskPart): void;
  log(text: string): void;
}

/** Starts long work on one engine. */
export interface TaskRunner {
  /** Answers with the task's id at once. */
  run(kind: TaskKind, subject: string, work: (job: Job) => Promise<void>): string;
}

interface Kept {
  task: Task;
  log: string[];
  logLength: number;
  lines: Topic<string>;
  abort: AbortController;
  ended: AbortController;
}

/** Long work that outlives the window that asked for it. */
export class TaskKeeper {
  #kept = new Map<string, Kept>();
  #changes = new Topic<Task[]>(4, (queue) => queue.slice(-1));
  #announced = false;

  /** For the work on one engine; `hold` keeps it connected while there is some. */
  on(engine: Task['engine'], hold: () => () => void = () => () => {}): TaskRunner {
    return {
      run: (kind, subject, work) => {
        const letGo = hold();
        return this.#run({ ...engine }, kind, subject, (job) => work(job).finally(letGo));
      },
    };
  }

  #run(engine: Task['engine'], kind: TaskKind, subject: string, work: (job: Job) => Promise<void>): string {
    const id = randomUUID();
    const task: Task = {
      id,
      kind,
      engine,
      subject,
      state: 'running',
      startedAt: Date.now(),
      endedAt: undefined,
      status: '',
      current: 0,
      total: 0,
      parts: [],
      error: undefined,
    };
    const kept: Kept = {
      task,
      log: [],
      logLength: 0,
      lines: new Topic<string>(2_000, (queue) => queue.slice(-1_000)),
      abort: new AbortController(),
      ended: new AbortController(),
    };
    this.#kept.set(id, kept);
    this.#forget();
    this.#announce();
    void this.#work(kept, work);
    return id;
  }

  busyOn(engine: string): boolean {
    return [...this.#kept.values()].some(({ task }) => task.state === 'running' && task.engine.id === engine);
  }

  close(): void {
    for (const { abort } of this.#kept.values()) abort.abort();
  }

  services(): Implementation['tasks'] {
    return {
      watch: (signal) => this.#changes.read(signal, this.#list()),
      log: (id, signal) => this.#readLog(this.#find(id), signal),
      cancel: async (id) => this.#find(id).abort.abort(),
      clear: async () => {
        for (const [id, { task }] of this.#kept) if (task.state !== 'running') this.#kept.delete(id);
        this.#announce();
      },
    };
  }

  async #work(kept: Kept, work: (job: Job) => Promise<void>): Promise<void> {
    const { task, abort } = kept;
    try {
      await work(this.#job(kept));
      task.state = 'done';
    } catch (error) {
      task.state = abort.signal.aborted ? 'cancelled' : 'failed';
      task.error = abort.signal.aborted ? undefined : toWire(error);
      if (task.error) this.#write(kept, `${task.error.message}\n`);
    }
    task.endedAt = Date.now();
    kept.ended.abort();
    this.#announce();
  }

  #job(kept: Kept): Job {
    const { task } = kept;
    return {
      signal: kept.abort.signal,
      status: (words) => {
        task.status = words;
        this.#announce();
      },
      progress: (current, total) => {
        task.current = current;
        task.total = total;
        this.#announce();
      },
      part: (part) => {
        const at = task.parts.findIndex((one) => one.id === part.id);
        if (at < 0) task.parts.push(part);
        else task.parts[at] = part;
        this.#announce();
      },
      log: (text) => this.#write(kept, text),
    };
  }

  #write(kept: Kept, text: string): void {
    kept.log.push(text);
    kept.logLength += text.length;
    while (kept.logLength > LONGEST_LOG) kept.logLength -= kept.log.shift()?.length ?? 0;
    kept.lines.publish(text);
  }

  async *#readLog(kept: Kept, signal: AbortSignal): AsyncGenerator<string> {
    const before = kept.log.join('');
    // What is written from here on is queued while the beginning is sent.
    const until = AbortSignal.any([signal, kept.ended.signal]);
    if (kept.ended.signal.aborted) {
      yield before;
      return;
    }
    let sent = 0;
    for await (const text of kept.lines.read(until, before)) {
      sent += text.length;
      yield text;
    }
    // Its last words may have come together with its end.
    if (!signal.aborted && sent < kept.logLength) yield kept.log.join('').slice(sent);
  }

  #find(id: unknown): Kept {
    const kept = this.#kept.get(String(id));
    if (kept) return kept;
    throw new ServiceError('not-found', 'There is no such task any more.');
  }

  #forget(): void {
    const ended = [...this.#kept.values()].filter(({ task }) => task.state !== 'running');
    for (const { task } of ended.slice(0, Math.max(0, ended.length - KEPT))) this.#kept.delete(task.id);
  }

  #list(): Task[] {
    return [...this.#kept.values()].map(({ task }) => ({ ...task, parts: [...task.parts] })).reverse();
  }

  #announce(): void {
    if (this.#announced) return;
    this.#announced = true;
    setTimeout(() => {
      this.#announced = false;
      this.#changes.publish(this.#list());
    }, EVERY_MS).unref();
  }
}
