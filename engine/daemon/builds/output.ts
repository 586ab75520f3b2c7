import type { Progress, ProgressLine } from '../images/progress.ts';

/**
 * The classic stream of a build. Stages run side by side but speak one after the other, in the order of the file: what a
 * later one says waits until those before it have ended.
 */
export class BuildOutput {
  readonly #send: Progress;
  readonly #log: string[] = [];
  #logSize = 0;
  readonly #waiting: StageOutput[] = [];

  constructor(send: Progress) {
    this.#send = send;
  }

  /** Outputs of stages, asked for in the order of the file. */
  stage(): StageOutput {
    const stage = new StageOutput(() => this.#advance());
    this.#waiting.push(stage);
    this.#advance();
    return stage;
  }

  say(text: string): void {
    this.line({ stream: text });
  }

  line(line: ProgressLine): void {
    if (line.stream !== undefined) this.#keep(line.stream);
    this.#send(line);
  }

  /** All that was said, its middle left out when that is very long. */
  get log(): string {
    return this.#log.join('');
  }

  #keep(text: string): void {
    if (this.#logSize > LOG_LIMIT) return;
    this.#logSize += text.length;
    this.#log.push(this.#logSize > LOG_LIMIT ? '\n[the rest of the log was not kept]\n' : text);
  }

  #advance(): void {
    for (let first = this.#waiting[0]; first; first = this.#waiting[0]) {
      for (const line of first.take()) this.line(line);
      if (!first.ended) {
        first.live = (line) => this.line(line);
        return;
      }
      this.#waiting.shift();
    }
  }

  /** After a failure: what the stages have said so far, in order. */
  flush(): void {
    for (const stage of this.#waiting) {
      for (const line of stage.take()) this.line(line);
      stage.live = (line) => this.line(line);
    }
  }
}

const LOG_LIMIT = 1024 * 1024;

export class StageOutput {
  live: Progress | undefined;
  ended = false;
  #held: ProgressLine[] = [];
  readonly #onEnd: () => void;

  constructor(onEnd: () => void) {
    this.#onEnd = onEnd;
  }

  say(text: string): void {
    this.line({ stream: text });
  }

  line(line: ProgressLine): void {
    if (this.live) this.live(line);
    else this.#held.push(line);
  }

  take(): ProgressLine[] {
    const held = this.#held;
    this.#held = [];
    return held;
  }

  end(): void {
    this.ended = true;
    this.live = undefined;
    this.#onEnd();
  }
}
