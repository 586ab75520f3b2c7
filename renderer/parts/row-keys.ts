import { nextTick } from 'vue';

/**
 * Arrow keys, Home and End move the focus from row to row of a virtual list. Rows carry `data-row` with their index; the row
 * wanted may not be in the page yet, so it is scrolled to first.
 */
export function useRowKeys(count: () => number, scrollTo: (index: number) => void) {
  return async (event: KeyboardEvent) => {
    const row = (event.target as HTMLElement).closest<HTMLElement>('[data-row]');
    if (!row || event.target !== row) return;
    const at = Number(row.dataset.row);
    const wanted = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: count() - 1 }[event.key];
    if (wanted === undefined || wanted < 0 || wanted >= count()) return;
    event.preventDefault();
    const list = row.parentElement;
    scrollTo(wanted);
    await nextTick();
    requestAnimationFrame(() => list?.querySelector<HTMLElement>(`[data-row="${wanted}"]`)?.focus());
  };
}
