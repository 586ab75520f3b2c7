import type { SearchAnswer, SearchQuestion } from './log-search.ts';

const kept = new Map<number, string>();
const MOST_HITS_PER_LINE = 50;

self.addEventListener('message', ({ data }: MessageEvent<SearchQuestion>) => {
  if (data.reset) kept.clear();
  for (const number of data.gone) kept.delete(number);
  for (const [number, text] of data.added) kept.set(number, text);
  const answer: SearchAnswer = { token: data.token, found: [] };
  const pattern = new RegExp(data.source, data.flags);
  for (const [number, text] of kept) {
    const ranges: number[] = [];
    for (const match of text.matchAll(pattern)) {
      if (match[0]) ranges.push(match.index, match.index + match[0].length);
      if (ranges.length >= 2 * MOST_HITS_PER_LINE) break;
    }
    if (ranges.length > 0) answer.found.push([number, ranges]);
  }
  self.postMessage(answer);
});
