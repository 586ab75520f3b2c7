import { readFile } from 'node:fs/promises';
import type { EngineAddress } from '../../contract/engines.ts';
import { EngineUnreachable, problem } from './problem.ts';

/** A file that the user named. Throws EngineUnreachable 'file'. */
export async function readNamed(path: string, address: EngineAddress): Promise<Buffer> {
  try {
    return await readFile(path);
  } catch (error) {
    throw new EngineUnreachable(problem('file', address, (error as Error).message, { file: path }));
  }
}
