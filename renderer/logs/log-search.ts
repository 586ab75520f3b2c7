import { useDebounceFn } from '@vueuse/core';
import { onScopeDispose, type Ref, ref, shallowRef, watch } from 'vue';
import type { LogLine } from './log-buffer.ts';

export interface SearchQuestion {
  token: number;
  source: string;
  flags: string;
  reset: boolean;
  added: [number: number, text: string][];
  gone: number[];
}

export interface SearchAnswer {
  token: number;
  /** line and begin, end, begin, end … of what was found in it */
  found: [number: number, ranges: number[]][];
}

const SETTLE_MS = 120;
/** A pattern may take for ever (`(a+)+$`): it is given up, the page never waits. */
const LIMIT_MS = 3_000;

/**
 * Searches the lines in a worker: neither many lines nor a bad pattern hold the page up. `hits` is undefined while nothing is
 * searched for.
 */
export function useLogSearch(lines: Ref<LogLine[]>, query: Ref<string>, regex: Ref<boolean>) {
  const hits = shallowRef<ReadonlyMap<number, readonly number[]>>();
  const problem = ref<'' | 'invalid' | 'slow'>('');
  let worker: Worker | undefined;
  let sent = new Set<number>();
  let token = 0;
  let waiting = false;
  let again = false;
  let limit: ReturnType<typeof setTimeout> | undefined;

  function stop(): void {
    worker?.terminate();
    worker = undefined;
    sent = new Set();
    waiting = false;
    clearTimeout(limit);
  }

  function search(): void {
    const source = pattern(query.value, regex.value);
    if (source === undefined) {
      hits.value = undefined;
      problem.value = query.value ? 'invalid' : '';
      return;
    }
    if (waiting) {
      again = true;
      return;
    }
    problem.value = '';
    ask(source);
  }

  function ask(source: string): void {
    const reset = worker === undefined;
    worker ??= open();
    const present = new Set(lines.value.map(({ number }) => number));
    const added = lines.value
      .filter(({ number }) => !sent.has(number))
      .map(({ number, text }): [number, string] => [number, text]);
    const gone = [...sent].filter((number) => !present.has(number));
    sent = present;
    waiting = true;
    again = false;
    worker.postMessage({ token: ++token, source, flags: 'giu', reset, added, gone } satisfies SearchQuestion);
    limit = setTimeout(() => {
      stop();
      problem.value = 'slow';
      hits.value = new Map();
    }, LIMIT_MS);
  }

  function open(): Worker {
    const opened = new Worker(new URL('./search.worker.ts', import.meta.url), { type: 'module' });
    opened.addEventListener('message', ({ data }: MessageEvent<SearchAnswer>) => {
      clearTimeout(limit);
      waiting = false;
      if (query.value && data.token === token) hits.value = new Map(data.found);
      if (again) search();
    });
    return opened;
  }

  const soon = useDebounceFn(search, SETTLE_MS, { maxWait: 500 });
  watch([query, regex], () => {
    // What is still being searched for is not wanted any more, and may be what takes for ever.
    if (waiting) stop();
    void soon();
  });
  watch(lines, () => {
    if (query.value && problem.value !== 'slow') void soon();
  });
  onScopeDispose(stop);
  return { hits, problem };
}

/** Undefined when there is nothing to search for or the expression is not one. */
function pattern(query: string, regex: boolean): string | undefined {
  if (!query) return undefined;
  const source = regex
    ? query
    : query.replace(/[\\^$.*+?()[\]{}|/-]/g, (char) => `\\u{${char.charCodeAt(0).toString(16)}}`);
  try {
    new RegExp(source, 'giu');
    return source;
  } catch {
    return undefined;
  }
}
