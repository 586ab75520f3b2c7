import { onScopeDispose, type Ref, shallowRef, watch } from 'vue';
import type { Client } from '../../electron/contract/contract.ts';
import type { EngineEvent } from '../../electron/contract/engine.ts';
import { AppError } from '../../electron/rpc/client.ts';
import { link } from '../link/link.ts';

/** One thing of the engine, fetched for as long as its page is open, and again after the events that concern it. */
export function useDetail<Detail>(
  id: () => string,
  fetch: (client: Client, id: string, signal: AbortSignal) => Promise<Detail>,
  concerns: (event: EngineEvent) => boolean,
): { detail: Ref<Detail | undefined>; gone: Ref<boolean>; refresh: () => Promise<void> } {
  const detail = shallowRef<Detail>();
  const gone = shallowRef(false);
  const ended = new AbortController();
  let timer: ReturnType<typeof setTimeout> | undefined;

  async function refresh(): Promise<void> {
    const wanted = id();
    try {
      const found = await fetch(link.client, wanted, ended.signal);
      if (wanted !== id()) return;
      detail.value = found;
      gone.value = false;
    } catch (error) {
      if (error instanceof AppError && error.kind === 'not-found') gone.value = true;
    }
  }
  const end = link.whileOpen(async (client, signal) => {
    for await (const news of client.engine.news(signal)) {
      if (news.kind === 'event' && !concerns(news.event)) continue;
      clearTimeout(timer);
      timer = setTimeout(() => void refresh(), 120);
    }
  });
  watch(id, () => void refresh());
  onScopeDispose(() => {
    end();
    ended.abort();
    clearTimeout(timer);
  });
  return { detail, gone, refresh };
}
