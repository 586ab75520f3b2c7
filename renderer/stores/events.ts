import { defineStore } from 'pinia';
import { shallowRef, watch } from 'vue';
import type { EngineEvent } from '../../electron/contract/engine.ts';
import { link } from '../link/link.ts';

const KEPT = 2_000;
const EVERY_MS = 200;

export interface SeenEvent extends EngineEvent {
  seq: number;
}

/** What happened in the engine since this window looks at it, newest first. */
export const useEventsStore = defineStore('events', () => {
  const events = shallowRef<SeenEvent[]>([]);
  let fresh: SeenEvent[] = [];
  let seq = 0;
  function show(): void {
    events.value = [...fresh.reverse(), ...events.value].slice(0, KEPT);
    fresh = [];
  }
  link.whileOpen(async (client, signal) => {
    for await (const news of client.engine.news(signal)) {
      if (news.kind !== 'event') continue;
      // A storm of them is shown a few times a second.
      if (fresh.length === 0) setTimeout(show, EVERY_MS);
      fresh.push({ ...news.event, seq: seq++ });
      if (fresh.length > KEPT) fresh = fresh.slice(-KEPT);
    }
  });
  watch(
    link.engine,
    () => {
      fresh = [];
      events.value = [];
    },
    { flush: 'sync' },
  );
  return { events };
});
