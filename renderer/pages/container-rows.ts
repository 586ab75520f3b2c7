import type { ContainerRow } from '../../electron/contract/engine.ts';

/** What the list shows: the head of a compose project, or a container (inside one, or by itself). */
export type ListRow =
  | { kind: 'group'; key: string; project: string; members: ContainerRow[]; running: number; folded: boolean }
  | { kind: 'container'; key: string; container: ContainerRow; inGroup: boolean };

/** Projects by name first, then single containers, newest first; within a project by service and name. */
export function listRows(
  containers: readonly ContainerRow[],
  options: { filter: string; runningOnly: boolean; folded: ReadonlySet<string> },
): ListRow[] {
  const words = options.filter.toLowerCase().split(/\s+/).filter(Boolean);
  const shown = containers.filter((container) => {
    if (options.runningOnly && container.status !== 'running') return false;
    const text = `${container.name} ${container.image} ${container.project ?? ''} ${container.id}`.toLowerCase();
    return words.every((word) => text.includes(word));
  });
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
    const name = (container: ContainerRow) => `${container.service ?? ''} ${container.name}`;
    for (const container of members.sort((a, b) => name(a).localeCompare(name(b)))) {
      rows.push({ kind: 'container', key: container.id, container, inGroup: true });
    }
  }
  const single = shown.filter((container) => !container.project).sort((a, b) => b.createdAt - a.createdAt);
  for (const container of single) rows.push({ kind: 'container', key: container.id, container, inGroup: false });
  return rows;
}
