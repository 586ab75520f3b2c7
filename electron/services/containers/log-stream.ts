import type Dockerode from 'dockerode';
import type { LogChunk, LogRequest } from '../../contract/engine.ts';

/** Longer pieces are split, so that one chatty container does not make messages of unbounded size. */
const LONGEST_CHUNK = 64 * 1024;

/** A container's log as text, decoded from Docker's frames (or raw when the container has a TTY). */
export async function* logStream(
  container: Dockerode.Container,
  request: LogRequest,
  signal: AbortSignal,
): AsyncGenerator<LogChunk> {
  const { Config } = await container.inspect({ abortSignal: signal });
  const options = {
    stdout: true,
    stderr: true,
    tail: request.tail as number,
    ...(request.until ? { until: request.until as unknown as number } : {}),
    timestamps: request.timestamps,
    abortSignal: signal,
  };
  const source = request.follow
    ? ((await container.logs({ ...options, follow: true })) as AsyncIterable<Buffer>)
    : [await container.logs({ ...options, follow: false })];
  try {
    yield* decode(Config.Tty ? raw(source) : frames(source));
  } catch (error) {
    // Whoever left does not want to hear that the stream was cut.
    if (!signal.aborted) throw error;
  }
}

interface Frame {
  stream: LogChunk['stream'];
  data: Buffer;
}

/** Characters may be cut by frames: each stream has a decoder that keeps the beginning of one. */
async function* decode(frames: AsyncIterable<Frame>): AsyncGenerator<LogChunk> {
  const decoders = { stdout: new TextDecoder(), stderr: new TextDecoder() };
  for await (const { stream, data } of frames) {
    for (let at = 0; at < data.length; at += LONGEST_CHUNK) {
      const text = decoders[stream].decode(data.subarray(at, at + LONGEST_CHUNK), { stream: true });
      if (text) yield { stream, text };
    }
  }
}

async function* raw(source: AsyncIterable<Buffer> | Iterable<Buffer>): AsyncGenerator<Frame> {
  for await (const data of source) yield { stream: 'stdout', data };
}

/** Docker's attach framing: 1 byte stream, 3 zero bytes, 4 bytes length, payload (API, "Stream format"). */
async function* frames(source: AsyncIterable<Buffer> | Iterable<Buffer>): AsyncGenerator<Frame> {
  let rest: Buffer = Buffer.alloc(0);
  for await (const data of source) {
    rest = rest.length > 0 ? Buffer.concat([rest, data]) : data;
    while (rest.length >= 8) {
      const end = 8 + rest.readUInt32BE(4);
      if (rest.length < end) break;
      yield { stream: rest[0] === 2 ? 'stderr' : 'stdout', data: rest.subarray(8, end) };
      rest = rest.subarray(end);
    }
  }
}
