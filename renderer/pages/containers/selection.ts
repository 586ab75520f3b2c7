import { computed, type Ref, shallowRef } from 'vue';
import type { ContainerRow } from '../../../electron/contract/engine.ts';
import type { ListRow } from './container-rows.ts';

/** Which containers of the list are chosen. What is not listed any more is not chosen any more. */
export function useSelection(rows: Ref<readonly ListRow[]>) {
  const ids = shallowRef<ReadonlySet<string>>(new Set());
  let anchor: string | undefined;
  const listed = computed(() =>
    rows.value.flatMap((row) => (row.kind === 'container' ? [row.container] : row.folded ? row.members : [])),
  );
  const selected = computed(() => listed.value.filter(({ id }) => ids.value.has(id)));
  const all = computed(() => listed.value.length > 0 && selected.value.length === listed.value.length);

  /** @param range from the container that was chosen last, as with Shift */
  function toggle(id: string, range: boolean): void {
    const next = new Set(ids.value);
    const order = listed.value.map((container) => container.id);
    const [from, to] = [order.indexOf(anchor ?? ''), order.indexOf(id)];
    if (range && from >= 0 && to >= 0) {
      for (const one of order.slice(Math.min(from, to), Math.max(from, to) + 1)) next.add(one);
    } else if (!next.delete(id)) next.add(id);
    anchor = id;
    ids.value = next;
  }

  function toggleMany(members: readonly ContainerRow[]): void {
    const next = new Set(ids.value);
    const full = members.every(({ id }) => next.has(id));
    for (const { id } of members) {
      if (full) next.delete(id);
      else next.add(id);
    }
    ids.value = next;
  }

  function clear(): void {
    ids.value = new Set();
  }

  return {
    selected,
    all,
    has: (id: string) => ids.value.has(id),
    toggle,
    toggleMany,
    toggleAll: () => toggleMany(listed.value),
    clear,
  };
}
