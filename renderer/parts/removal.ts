import { useI18n } from 'vue-i18n';
import { link } from '../link/link.ts';
import { confirm } from './confirm.ts';
import { useProblems } from './problem.ts';

interface Removal<Row> {
  noun: 'images' | 'volumes' | 'networks';
  name: (row: Row) => string;
  /** what it costs */
  text: (rows: readonly Row[]) => string;
  remove: (row: Row) => Promise<unknown>;
}

/** Asks once for all of them, by name; then removes one after the other, and says which of them could not be. */
export function useRemoval<Row>({ noun, name, text, remove }: Removal<Row>): (rows: readonly Row[]) => Promise<void> {
  const { t } = useI18n();
  const { attempt } = useProblems();
  return async (rows) => {
    const [first] = rows;
    if (!first) return;
    const names = rows.map(name);
    const title =
      names.length === 1
        ? t(`${noun}.removeTitle`, { name: names[0] })
        : t(`${noun}.removeManyTitle`, { n: names.length }, names.length);
    const said = names.length === 1 ? text(rows) : [text(rows), ...names].join('\n');
    const action = t(`${noun}.remove`);
    if (!(await confirm({ title, text: said, action }))) return;
    const engine = link.engine.value;
    for (const row of rows) {
      // Another engine may have one of the same name.
      if (link.engine.value !== engine) return;
      await attempt(`${action}: ${name(row)}`, () => remove(row));
    }
  };
}
