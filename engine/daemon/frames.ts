import { StringDecoder } from 'node:string_decoder';

const HEADER = 8;

/** Takes Docker's stdcopy frames apart. @param onText what came, whole characters, of which output (1 or 2) */
export async function readFrames(
  source: AsyncIterable<Buffer>,
  onText: (text: string, output: 1 | 2) => void,
): Promise<void> {
  const decoders = { 1: new StringDecoder('utf8'), 2: new StringDecoder('utf8') };
  let pending: Buffer = Buffer.alloc(0);
  for await (const chunk of source) {
    pending = pending.length > 0 ? Buffer.concat([pending, chunk]) : chunk;
    while (pending.length >= HEADER) {
      const end = HEADER + pending.readUInt32BE(4);
      if (pending.length < end) break;
      const output = pending[0] === 2 ? 2 : 1;
      const text = decoders[output].write(pending.subarray(HEADER, end));
      if (text) onText(text, output);
      pending = pending.subarray(end);
    }
  }
}
