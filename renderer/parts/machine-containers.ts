import { link } from '../link/link.ts';

/** How many containers run in Skiff's own machine, whatever engine the window looks at; 0 when its engine does not answer. */
export async function runningInMachine(): Promise<number> {
  try {
    return (await link.own.containers.list()).filter(({ status }) => status === 'running').length;
  } catch {
    return 0;
  }
}
