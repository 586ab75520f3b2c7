import { defineStore } from 'pinia';
import { computed, shallowRef } from 'vue';
import type { EngineEntry } from '../../electron/contract/engines.ts';
import { link, OWN_ENGINE } from '../link/link.ts';

const OWN: EngineEntry = { id: OWN_ENGINE, name: 'Skiff', address: undefined, portHost: 'localhost' };

/** The engines that the window can look at, and the one that it looks at. */
export const useEnginesStore = defineStore('engines', () => {
  const engines = shallowRef<EngineEntry[]>([OWN]);
  /** how the engine that is looked at was reached when that began */
  let address: string | undefined;

  const current = computed(() => engines.value.find(({ id }) => id === link.engine.value) ?? OWN);
  /** whether that is the one in Skiff's machine */
  const own = computed(() => link.engine.value === OWN_ENGINE);

  link.whileOpen(async (client, signal) => {
    for await (const next of client.engines.watch(signal)) {
      engines.value = next.engines;
      follow(next.engines);
    }
  });

  /** One that was removed is not looked at any more; one that was changed is looked at anew. */
  function follow(now: EngineEntry[]): void {
    const looked = now.find(({ id }) => id === link.engine.value);
    if (!looked) {
      look(OWN_ENGINE);
      return;
    }
    const reached = JSON.stringify(looked.address);
    const changed = address !== undefined && reached !== address;
    address = reached;
    if (changed) link.look(looked.id);
  }

  function look(id: string): void {
    address = JSON.stringify(engines.value.find((one) => one.id === id)?.address);
    link.look(id);
  }

  /** Looks at this engine, and remembers that for the next window. Throws AppError. */
  async function choose(id: string): Promise<void> {
    if (id === link.engine.value) return;
    look(id);
    await link.own.engines.choose(id);
  }

  return { engines, current, own, choose };
});
