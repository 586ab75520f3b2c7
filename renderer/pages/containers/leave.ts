import { useEventListener } from '@vueuse/core';
import { useRouter } from 'vue-router';

/** Esc goes back to the list. In a field, menu, dialog, editor or terminal it is theirs. */
export function useLeaveOnEscape(to: string): void {
  const router = useRouter();
  useEventListener('keydown', (event) => {
    const inside = (event.target as HTMLElement).closest(
      '[role=dialog], [role=menu], [role=listbox], input, textarea, .cm-editor, .xterm',
    );
    if (event.key === 'Escape' && !event.defaultPrevented && !inside) void router.push(to);
  });
}
