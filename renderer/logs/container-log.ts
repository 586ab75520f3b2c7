import { onScopeDispose, type Ref, ref, shallowRef, watch } from 'vue';
import { link } from '../link/link.ts';
import { LogBuffer, type LogLine } from './log-buffer.ts';

const KEPT_LINES = 10_000;

/**
 * A container's log, followed while the view is shown; begun anew when the container starts again or the connection was
 * lost. Lines are handed to the view once per frame, however fast they come.
 */
export function useContainerLog(id: () => string, running: () => boolean, timestamps: Ref<boolean>) {
  let buffer = new LogBuffer(KEPT_LINES);
  const lines = shallowRef<LogLine[]>([]);
  const dropped = ref(0);
  const ended = ref(false);
  let scheduled = false;
  let end: (() => void) | undefined;

  function paint(): void {
    if (scheduled) return;
    scheduled = true;
    requestAnimationFrame(() => {
      scheduled = false;
      lines.value = buffer.lines.slice();
      dropped.value = buffer.dropped;
    });
  }

  function follow(): void {
    end?.();
    end = link.whileOpen(async (client, signal) => {
      buffer = new LogBuffer(KEPT_LINES);
      ended.value = false;
      paint();
      const request = { tail: KEPT_LINES, follow: true, timestamps: timestamps.value };
      for await (const chunk of client.containers.logs(id(), request, signal)) {
        buffer.add(chunk);
        paint();
      }
      if (signal.aborted) return;
      buffer.finish();
      ended.value = true;
      paint();
    });
  }

  watch([id, timestamps], follow, { immediate: true });
  watch(running, (now, before) => {
    if (now && !before && ended.value) follow();
  });
  onScopeDispose(() => end?.());

  function clear(): void {
    buffer.clear();
    paint();
  }

  return { lines, dropped, ended, clear };
}
