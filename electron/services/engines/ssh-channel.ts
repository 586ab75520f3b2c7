import { Duplex } from 'node:stream';
import type { ClientChannel } from 'ssh2';

/** Of what a failing command says. */
const LONGEST_WORDS = 2_000;

/**
 * A channel as Node's HTTP client wants its sockets. When the command behind it fails before it has said anything, the stream ends
 * with the error that `refused` makes of its last words, and not with a mere end.
 */
export class ChannelStream extends Duplex {
  readonly #channel: ClientChannel;

  constructor(channel: ClientChannel, refused: (words: string) => Error) {
    super({ allowHalfOpen: true });
    this.#channel = channel;
    let spoke = false;
    let status: number | null = 0;
    let words = '';
    channel.on('data', (data: Buffer) => {
      spoke = true;
      if (!this.push(data)) channel.pause();
    });
    channel.on('exit', (code: number | null) => {
      status = code;
    });
    channel.stderr?.on('data', (data: Buffer) => {
      words = (words + data).slice(-LONGEST_WORDS);
    });
    channel.on('error', (error: Error) => this.destroy(error));
    // Not at its 'end': the reason why it has said nothing comes after that.
    channel.on('close', () => {
      if (!spoke && status !== 0) this.destroy(refused(words.trim() || `the command ended with ${status}`));
      else this.push(null);
      this.end();
    });
  }

  override _read(): void {
    this.#channel.resume();
  }

  override _write(data: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    if (this.#channel.write(data)) done();
    else this.#channel.once('drain', () => done());
  }

  override _final(done: () => void): void {
    this.#channel.end();
    done();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#channel.destroy();
    done(error);
  }

  // What a socket has and a channel needs not: the login has its own keepalive.
  setKeepAlive(): this {
    return this;
  }
  setNoDelay(): this {
    return this;
  }
  setTimeout(): this {
    return this;
  }
  ref(): this {
    return this;
  }
  unref(): this {
    return this;
  }
}
