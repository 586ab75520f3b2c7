import type { ContainerUsage } from '../../../electron/contract/containers.ts';
import type { ContainerRow } from '../../../electron/contract/engine.ts';
import type { SortKey } from './columns.ts';

/** What the list shows: the head of a compose project, or a container (inside one, or by itself). */
export type ListRow =
  | { kind: 'group'; key: string; project: string; members: ContainerRow[]; running: number; folded: boolean }
  | { kind: 'container'; key: string; container: ContainerRow; inGroup: boolean };

interface ListOptions {
  filter: string;
  runningOnly: boolean;
  folded: ReadonlySet<string>;
  sort: SortKey;
  descending: boolean;
  usage: ReadonlyMap<string, ContainerUsage>;
}

/** Projects by name first, then single containers; within both in the order that is asked for. */
export function listRows(containers: readonly ContainerRow[], options: ListOptions): ListRow[] {
  const words = options.filter.toLowerCase().split(/\s+/).filter(Boolean);
  const shown = containers.filter((container) => {
    if (options.runningOnly && container.status !== 'running' && container.status !== 'paused') return false;
    const text = `${container.name} ${container.image} ${container.project ?? ''} ${container.id}`.toLowerCase();
    return words.every((word) => text.includes(word));
  });
  const compare = comparison(options);
  const projects = Map.groupBy(
    shown.filter((container) => container.project),
    (container) => container.project as string,
  );
  const rows: ListRow[] = [];
  for (const [project, members] of [...projects].sort(([a], [b]) => a.localeCompare(b))) {
    const folded = options.folded.has(project);
    const running = members.filter((member) => member.status === 'running').length;
    rows.push({ kind: 'group', key: `project ${project}`, project, members, running, folded });
    if (folded) continue;
    for (const container of members.sort(compare)) {
      rows.push({ kind: 'container', key: container.id, container, inGroup: true });
    }
  }
  for (const container of shown.filter(({ project }) => !project).sort(compare)) {
    rows.push({ kind: 'container', key: container.id, container, inGroup: false });
  }
  return rows;
}

function comparison({ sort, descending, usage }: ListOptions): (a: ContainerRow, b: ContainerRow) => number {
  const collator = new Intl.Collator(undefined, { numeric: true });
  const name = ({ service, name }: ContainerRow) => `${service ?? ''} ${name}`;
  const byName = (a: ContainerRow, b: ContainerRow) => collator.compare(name(a), name(b));
  const figure = (row: ContainerRow) => {
    if (sort === 'age') return -row.createdAt;
    const found = usage.get(row.id);
    return (sort === 'cpu' ? found?.cpuPercent : found?.memoryBytes) ?? -1;
  };
  const turn = descending ? -1 : 1;
  if (sort === 'name') return (a, b) => byName(a, b) * turn;
  if (sort === 'image') return (a, b) => collator.compare(a.image, b.image) * turn || byName(a, b);
  return (a, b) => (figure(a) - figure(b)) * turn || byName(a, b);
}
