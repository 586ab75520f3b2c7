import { defineStore } from 'pinia';
import { computed, ref, shallowRef } from 'vue';
import type { AppInfo, AppState } from '../../electron/contract/state.ts';
import { link } from '../link/link.ts';

/** Machine, tunnel and engine, as the app tells them; and the connection to the app itself. */
export const useAppStore = defineStore('app', () => {
  const state = shallowRef<AppState>();
  const info = shallowRef<AppInfo>();
  /** when the last state arrived: a start's time is counted from the window's own clock */
  const machineSince = ref(Date.now());

  link.whileOpen(async (client, signal) => {
    info.value = await client.app.info(signal);
    for await (const next of client.app.state(signal)) {
      if (next.machine.kind !== state.value?.machine.kind) machineSince.value = Date.now();
      state.value = next;
    }
  });

  const machine = computed(() => state.value?.machine);
  const engineReady = computed(() => link.state.value === 'open' && state.value?.engine.kind === 'ready');

  return { state, info, machine, machineSince, engineReady, link: link.state };
});
