import { computed, shallowRef, watch } from 'vue';
import type { DaemonFile } from '../../../../electron/contract/daemon.ts';
import { link } from '../../../link/link.ts';
import { useAppStore } from '../../../stores/app.ts';

const file = shallowRef<DaemonFile>();
/** why it could not be read */
const unread = shallowRef<unknown>();
let loading: Promise<void> | undefined;

/** What the engine is configured with, for the settings that lie in it. It can be read while the machine runs. */
export function useDaemonFile() {
  const app = useAppStore();
  const up = computed(
    () => app.link === 'open' && (app.machine?.kind === 'running' || app.machine?.kind === 'degraded'),
  );

  async function load(): Promise<void> {
    try {
      file.value = await link.client.daemon.read();
      unread.value = undefined;
    } catch (error) {
      file.value = undefined;
      unread.value = error;
    }
  }
  watch(
    up,
    (now) => {
      // Several settings want it at the same time; an answer that came later would undo what was typed meanwhile.
      if (!now || loading) return;
      loading = load().finally(() => {
        loading = undefined;
      });
    },
    { immediate: true },
  );

  /** One key of it, saved as the editor saves the whole. Throws AppError. */
  async function setKey(key: string, value: unknown): Promise<void> {
    const now = JSON.parse(file.value?.text || '{}') as Record<string, unknown>;
    const { [key]: _, ...others } = now;
    const next = value === undefined ? others : { ...now, [key]: value };
    try {
      await link.client.daemon.save(`${JSON.stringify(next, undefined, 2)}\n`);
    } finally {
      await load();
    }
  }
  return { file, unread, load, up, setKey };
}
