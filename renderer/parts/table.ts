/** A column of DataTable.vue. */
export interface Column<Row> {
  key: string;
  label: string;
  /** a track of CSS grid */
  width: string;
  /** what it is sorted by; without it the column can't be */
  by?: (row: Row) => string | number;
  right?: boolean;
  /** may be taken off the table */
  optional?: boolean;
}

/** Down first for numbers, where the big ones matter. */
export interface Sorting {
  key: string;
  down: boolean;
}

export function sorted<Row>(rows: readonly Row[], columns: Column<Row>[], sorting: Sorting): Row[] {
  const by = columns.find((column) => column.key === sorting.key)?.by;
  if (!by) return [...rows];
  const turn = sorting.down ? -1 : 1;
  return [...rows].sort((a, b) => {
    const [x, y] = [by(a), by(b)];
    const order = typeof x === 'number' && typeof y === 'number' ? x - y : String(x).localeCompare(String(y));
    return order * turn;
  });
}
