import { onScopeDispose, type Ref, ref, shallowRef, watch } from 'vue';
import { link } from '../link/link.ts';
import { LogBuffer, type LogLine } from './log-buffer.ts';

const KEPT_LINES = 10_000;
const EARLIER_LINES = 5_000;
const MOST_LINES = 100_000;

export interface LogSource {
  id: string;
  name: string;
  running: boolean;
}

/**
 * The logs of one or several containers in the order of their times, followed while the view is shown; begun anew when one of
 * them starts again or the connection was lost. Lines are handed to the view once per frame, however fast they come.
 */
export function useContainerLog(sources: Ref<readonly LogSource[]>) {
  let buffer = new LogBuffer(KEPT_LINES);
  const lines = shallowRef<LogLine[]>([]);
  const dropped = ref(0);
  const ended = ref(false);
  const loaded = ref(false);
  /** whether the engine may have lines before the first one here */
  const more = ref(false);
  let scheduled = false;
  let end: (() => void) | undefined;

  function paint(): void {
    if (scheduled) return;
    scheduled = true;
    requestAnimationFrame(() => {
      scheduled = false;
      buffer.sort();
      lines.value = buffer.lines.slice();
      dropped.value = buffer.dropped;
      if (lines.value.length >= KEPT_LINES) more.value = true;
    });
  }

  function follow(): void {
    end?.();
    const followed = sources.value;
    end = link.whileOpen(async (client, signal) => {
      const fresh = new LogBuffer(KEPT_LINES);
      buffer = fresh;
      ended.value = false;
      more.value = false;
      paint();
      const tail = Math.ceil(KEPT_LINES / Math.max(1, followed.length));
      await Promise.all(
        followed.map(async ({ id }, index) => {
          const request = { tail, follow: true, timestamps: true };
          for await (const chunk of client.containers.logs(id, request, signal)) {
            if (buffer !== fresh) return;
            fresh.add(chunk, index);
            loaded.value = true;
            paint();
          }
          fresh.finish(index);
          paint();
        }),
      );
      if (signal.aborted || buffer !== fresh) return;
      ended.value = true;
      loaded.value = true;
      paint();
    });
  }

  /** Throws AppError. Resolves with how many lines came. */
  async function loadEarlier(): Promise<number> {
    const into = buffer;
    const [first] = into.lines;
    if (!first || into.lines.length >= MOST_LINES) {
      more.value = false;
      return 0;
    }
    const earlier = new LogBuffer(MOST_LINES);
    const request = { tail: EARLIER_LINES, follow: false, timestamps: true, until: first.time };
    for (const [index, { id }] of sources.value.entries()) {
      for await (const chunk of link.client.containers.logs(id, request)) earlier.add(chunk, index);
      earlier.finish(index);
    }
    earlier.lines = earlier.lines.filter(({ time }) => time < first.time);
    if (earlier.lines.length === 0) more.value = false;
    if (buffer !== into) return 0;
    into.prepend(earlier);
    lines.value = into.lines.slice();
    dropped.value = into.dropped;
    return earlier.lines.length;
  }

  watch(() => sources.value.map(({ id }) => id).join(' '), follow, { immediate: true });
  watch(
    () => sources.value.filter(({ running }) => running).map(({ id }) => id),
    (now, before) => {
      // A log that is followed goes on over a restart; one that has ended does not.
      if (now.some((id) => !before.includes(id)) && (ended.value || sources.value.length > 1)) follow();
    },
  );
  onScopeDispose(() => end?.());

  function clear(): void {
    buffer.clear();
    more.value = false;
    paint();
  }

  return { lines, dropped, ended, loaded, more, clear, loadEarlier };
}
