import { defineStore } from 'pinia';
import { computed, ref, shallowRef, watch } from 'vue';
import type { AppInfo, AppState, EngineState } from '../../electron/contract/state.ts';
import { link } from '../link/link.ts';

/** Machine, tunnel and engine, as the app tells them; the engine that is looked at; and the connection to the app itself. */
export const useAppStore = defineStore('app', () => {
  const state = shallowRef<AppState>();
  const info = shallowRef<AppInfo>();
  /** of the engine that is looked at; undefined until it is heard of */
  const engine = shallowRef<EngineState>();
  /** when the last state arrived: a start's time is counted from the window's own clock */
  const machineSince = ref(Date.now());

  link.whileOpen(async (client, signal) => {
    info.value = await client.app.info(signal);
    for await (const next of client.app.state(signal)) {
      if (next.machine.kind !== state.value?.machine.kind) machineSince.value = Date.now();
      state.value = next;
    }
  });
  link.whileOpen(async (client, signal) => {
    for await (const next of client.engine.state(signal)) engine.value = next;
  });
  watch(
    [link.engine, link.state],
    () => {
      engine.value = undefined;
    },
    { flush: 'sync' },
  );

  const machine = computed(() => state.value?.machine);
  const engineReady = computed(() => link.state.value === 'open' && engine.value?.kind === 'ready');

  return { state, info, engine, machine, machineSince, engineReady, link: link.state };
});
