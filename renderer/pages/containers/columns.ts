import { useLocalStorage } from '@vueuse/core';
import { computed } from 'vue';

export type Column = 'image' | 'ports' | 'cpu' | 'memory' | 'age';
export type SortKey = 'name' | 'image' | 'cpu' | 'memory' | 'age';

export const COLUMNS: readonly Column[] = ['image', 'ports', 'cpu', 'memory', 'age'];

const WIDTHS: Record<Column, string> = {
  image: 'minmax(5rem, 1.6fr)',
  ports: 'minmax(5rem, 1.2fr)',
  cpu: '3.75rem',
  memory: '4.5rem',
  age: '5.5rem',
};

interface View {
  hidden: Column[];
  sort: SortKey;
  descending: boolean;
}

/** How the list is shown, remembered by this window. */
export function useColumns() {
  const view = useLocalStorage<View>(
    'skiff.containers.view',
    { hidden: [], sort: 'name', descending: false },
    { mergeDefaults: true },
  );
  const shown = computed(() => COLUMNS.filter((column) => !view.value.hidden.includes(column)));
  const template = computed(() =>
    ['minmax(9rem, 2.2fr)', ...shown.value.map((column) => WIDTHS[column]), '6rem'].join(' '),
  );

  function toggle(column: Column): void {
    const { hidden } = view.value;
    view.value = {
      ...view.value,
      hidden: hidden.includes(column) ? hidden.filter((one) => one !== column) : [...hidden, column],
    };
  }

  /** A second time on the same column turns the order round. Figures and ages begin with the greatest. */
  function sortBy(sort: SortKey): void {
    const again = view.value.sort === sort;
    const descending = again ? !view.value.descending : sort === 'cpu' || sort === 'memory';
    view.value = { ...view.value, sort, descending };
  }

  return { view, shown, template, toggle, sortBy };
}
