import { useDocumentVisibility, useIntervalFn } from '@vueuse/core';
import { ref, shallowRef, watch } from 'vue';
import type { Client } from '../../electron/contract/contract.ts';
import type { EngineEvent } from '../../electron/contract/engine.ts';
import { link, OWN_ENGINE } from '../link/link.ts';
import { useAppStore } from './app.ts';

/** Events come in bursts (compose up); one fetch answers a burst. */
const SETTLE_MS = 120;

/** Rows carry sentences that age without an event (`Up 5 minutes`). */
const AGE_MS = 30_000;

/**
 * A list that mirrors the engine: fetched when there is an engine and again after the events that concern it. While it is seen
 * also now and then, for the sentences in it; while the window is hidden not at all (once when it is shown again). Of another
 * engine than the one that is looked at nothing stays in it, and no answer comes into it.
 */
export function useLiveList<Row>(fetch: (client: Client) => Promise<Row[]>, concerns: (event: EngineEvent) => boolean) {
  const app = useAppStore();
  const visibility = useDocumentVisibility();
  const rows = shallowRef<Row[]>([]);
  /** false until the first list of this engine has come */
  const loaded = ref(false);
  const error = shallowRef<unknown>();
  let stale = true;
  let scheduled = false;
  /** whom the list is being fetched from */
  let fetching: Client | undefined;

  async function refresh(): Promise<void> {
    stale = true;
    if (visibility.value === 'hidden' || !app.engineReady) return;
    const { client } = link;
    if (fetching === client) return;
    fetching = client;
    try {
      while (stale) {
        stale = false;
        const found = await fetch(client);
        if (fetching !== client) return;
        rows.value = found;
        error.value = undefined;
        loaded.value = true;
      }
    } catch (problem) {
      if (fetching !== client) return;
      error.value = problem;
      stale = true;
    } finally {
      if (fetching === client) fetching = undefined;
    }
  }

  function soon(): void {
    stale = true;
    if (scheduled) return;
    scheduled = true;
    setTimeout(() => {
      scheduled = false;
      void refresh();
    }, SETTLE_MS);
  }

  function empty(): void {
    rows.value = [];
    loaded.value = false;
    error.value = undefined;
    fetching = undefined;
    stale = true;
  }

  link.whileOpen(async (client, signal) => {
    for await (const news of client.engine.news(signal)) {
      if (news.kind === 'resync' || concerns(news.event)) soon();
    }
  });
  watch([() => app.engineReady, visibility], () => {
    if (app.engineReady && visibility.value === 'visible' && stale) void refresh();
  });
  watch(link.engine, empty, { flush: 'sync' });
  // Of a machine that is down nothing is known: its last list must not look alive.
  watch(
    () => app.machine?.kind,
    (kind) => {
      if (link.engine.value === OWN_ENGINE && (kind === 'stopped' || kind === 'failed')) empty();
    },
  );
  useIntervalFn(() => {
    if (rows.value.length > 0) void refresh();
  }, AGE_MS);
  void refresh();
  return { rows, loaded, error, refresh };
}
