import type { Piece } from './ansi.ts';

export interface ShownPiece extends Piece {
  hit: boolean;
}

/** What a terminal gives two columns (Unicode East Asian Width W and F, as far as logs have them), emoji included. */
const WIDE =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\u33ff\u3400-\u4dbf\u4e00-\u9fff\ua000-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{1f300}-\u{1f64f}\u{1f900}-\u{1f9ff}\u{20000}-\u{3fffd}]/u;
const TAB = 8;

/** Where a line of so many columns breaks: the index at which each of its rows begins. */
export function rowStarts(text: string, columns: number): number[] {
  const starts = [0];
  // Plain text, the common case: one character, one column.
  if (text.length <= columns && !WIDE.test(text) && !text.includes('\t')) return starts;
  let column = 0;
  let at = 0;
  for (const char of text) {
    const width = char === '\t' ? TAB - (column % TAB) : WIDE.test(char) ? 2 : 1;
    if (column + width > columns && column > 0) {
      starts.push(at);
      column = 0;
    }
    column += width;
    at += char.length;
  }
  return starts;
}

/** The pieces of `text.slice(from, to)`, with what was searched for marked. `ranges`: begin, end, begin, end … */
export function shownPieces(
  pieces: readonly Piece[],
  from: number,
  to: number,
  ranges: readonly number[] = [],
): ShownPiece[] {
  const shown: ShownPiece[] = [];
  let at = 0;
  for (const piece of pieces) {
    const begin = Math.max(from, at);
    const end = Math.min(to, at + piece.text.length);
    const cuts = [begin, ...ranges.filter((cut) => cut > begin && cut < end), end];
    for (let n = 0; n + 1 < cuts.length; n++) {
      const [a = 0, b = 0] = [cuts[n], cuts[n + 1]];
      if (b > a) shown.push({ ...piece, text: piece.text.slice(a - at, b - at), hit: within(ranges, a) });
    }
    at += piece.text.length;
  }
  return shown;
}

function within(ranges: readonly number[], at: number): boolean {
  for (let n = 0; n < ranges.length; n += 2) if (at >= (ranges[n] ?? 0) && at < (ranges[n + 1] ?? 0)) return true;
  return false;
}
