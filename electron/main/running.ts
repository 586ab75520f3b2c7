import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from '../contract/contract.ts';
import type { ContainerRow, EngineNews } from '../contract/engine.ts';

/** Events come in bursts (compose up); one list answers a burst. */
const SETTLE_MS = 150;

/** Actions that change nothing that a list of running containers shows. */
const QUIET = /^(exec_|attach|resize|top|export|archive-path|extract-to-dir|health_status)/;

/**
 * Tells which containers run, after everything that may have changed it; ends with the connection. Of an engine that does
 * not answer nothing is known: none run then.
 */
export async function followRunning(client: Client, tell: (running: ContainerRow[]) => void): Promise<void> {
  let stale = false;
  let looking = false;
  const soon = async () => {
    stale = true;
    if (looking) return;
    looking = true;
    while (stale) {
      await sleep(SETTLE_MS);
      stale = false;
      const rows = await client.containers.list().catch(() => []);
      tell(rows.filter(({ status }) => status === 'running' || status === 'paused').sort(byName));
    }
    looking = false;
  };
  await Promise.all([
    each(client.engine.news(), (news) => concerns(news) && void soon()),
    each(client.app.state(), () => void soon()),
  ]);
}

function concerns(news: EngineNews): boolean {
  return news.kind === 'resync' || (news.event.noun === 'container' && !QUIET.test(news.event.action));
}

async function each<T>(stream: AsyncIterable<T>, act: (item: T) => void): Promise<void> {
  for await (const item of stream) act(item);
}

function byName(a: ContainerRow, b: ContainerRow): number {
  return a.name.localeCompare(b.name);
}
