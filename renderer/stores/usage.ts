import { useDocumentVisibility, watchDebounced } from '@vueuse/core';
import { onScopeDispose, type Ref, shallowReactive } from 'vue';
import type { ContainerUsage } from '../../electron/contract/containers.ts';
import { link } from '../link/link.ts';

/** Scrolling changes the rows in sight all the time. */
const SETTLE_MS = 250;

/** CPU and memory of these containers, asked for only while the window is seen. */
export function useUsage(ids: Ref<string[]>): Map<string, ContainerUsage> {
  const usage = shallowReactive(new Map<string, ContainerUsage>());
  const visibility = useDocumentVisibility();
  let end: (() => void) | undefined;
  watchDebounced(
    [() => ids.value.join(' '), visibility],
    () => {
      end?.();
      end = undefined;
      const wanted = ids.value;
      for (const id of usage.keys()) if (!wanted.includes(id)) usage.delete(id);
      if (visibility.value !== 'visible' || wanted.length === 0) return;
      end = link.whileOpen(async (client, signal) => {
        for await (const found of client.containers.usage(wanted, signal)) {
          for (const one of found) usage.set(one.id, one);
        }
      });
    },
    { debounce: SETTLE_MS, immediate: true },
  );
  onScopeDispose(() => end?.());
  return usage;
}
