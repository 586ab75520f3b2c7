import { defineStore } from 'pinia';
import { computed, reactive, watch } from 'vue';
import type { ContainerRow } from '../../electron/contract/engine.ts';
import { link } from '../link/link.ts';
import { useLiveList } from './live-list.ts';

export type ContainerAction = 'start' | 'stop' | 'restart' | 'pause' | 'unpause' | 'kill' | 'remove';

/** Actions that change nothing that the list shows. */
const QUIET = /^(exec_|attach|resize|top|export|archive-path|extract-to-dir)/;

export const useContainersStore = defineStore('containers', () => {
  const list = useLiveList(
    (client) => client.containers.list(),
    ({ noun, action }) => noun === 'container' && !QUIET.test(action),
  );
  /** ids with an action under way, and which */
  const busy = reactive(new Map<string, ContainerAction>());
  watch(link.engine, () => busy.clear(), { flush: 'sync' });
  const running = computed(() => list.rows.value.filter((row) => row.status === 'running').length);
  const byId = (id: string) => list.rows.value.find((row) => row.id === id);

  /** Throws AppError. The list follows through the engine's events. */
  async function act(row: ContainerRow, action: ContainerAction): Promise<void> {
    if (busy.has(row.id)) return;
    busy.set(row.id, action);
    try {
      if (action === 'remove') await link.client.containers.remove(row.id, { force: true, volumes: true });
      else await link.client.containers[action](row.id);
    } finally {
      busy.delete(row.id);
    }
  }

  return { ...list, busy, running, byId, act };
});
