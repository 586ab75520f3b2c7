import { useDocumentVisibility } from '@vueuse/core';
import { onScopeDispose, type Ref, shallowRef, watch } from 'vue';
import type { MachineFigures } from '../../electron/contract/state.ts';
import { link } from '../link/link.ts';
import { useAppStore } from './app.ts';

const EVERY_MS = 2_000;

/** The machine's live figures, asked for only while the window is seen. */
export function useFigures(): Ref<MachineFigures | undefined> {
  const app = useAppStore();
  const visibility = useDocumentVisibility();
  const figures = shallowRef<MachineFigures>();
  let end: (() => void) | undefined;
  watch(
    [visibility, () => app.machine?.kind === 'running' || app.machine?.kind === 'degraded'],
    ([seen, up]) => {
      end?.();
      end = undefined;
      if (!up) figures.value = undefined;
      if (seen !== 'visible' || !up) return;
      end = link.whileOpen(async (client, signal) => {
        for await (const next of client.machine.figures(EVERY_MS, signal)) figures.value = next;
      });
    },
    { immediate: true },
  );
  onScopeDispose(() => end?.());
  return figures;
}
