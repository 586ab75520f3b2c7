import { useElementSize, useScroll } from '@vueuse/core';
import { computed, type Ref, useTemplateRef } from 'vue';

/**
 * Rows of one height, of which only the visible ones are in the page: 1,000 of them cost what 30 do. The template marks the
 * element that scrolls with `ref="scroller"`.
 */
export function useVirtualRows<Row>(rows: Ref<readonly Row[]>, rowHeight: number) {
  const scroller = useTemplateRef<HTMLElement>('scroller');
  const { y } = useScroll(scroller);
  const { height } = useElementSize(scroller);
  const SPARE = 8;
  const first = computed(() => Math.max(0, Math.floor(y.value / rowHeight) - SPARE));
  const visible = computed(() => {
    const count = Math.ceil((height.value || 800) / rowHeight) + 2 * SPARE;
    return rows.value.slice(first.value, first.value + count).map((row, n) => ({ row, index: first.value + n }));
  });
  const totalHeight = computed(() => rows.value.length * rowHeight);
  const top = computed(() => first.value * rowHeight);

  function scrollTo(index: number): void {
    const element = scroller.value;
    if (!element) return;
    const at = index * rowHeight;
    if (at < element.scrollTop) element.scrollTop = at;
    else if (at + rowHeight > element.scrollTop + element.clientHeight)
      element.scrollTop = at + rowHeight - element.clientHeight;
  }

  return { scroller, visible, totalHeight, top, scrollTo };
}
