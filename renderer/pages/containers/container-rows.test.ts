import { describe, expect, test } from 'vitest';
import type { ContainerRow } from '../../../electron/contract/engine.ts';
import { listRows } from './container-rows.ts';

function container(name: string, more: Partial<ContainerRow> = {}): ContainerRow {
  return {
    id: name,
    name,
    image: 'nginx',
    imageId: 'sha256:0',
    command: '',
    status: 'running',
    statusText: '',
    createdAt: 0,
    ports: [],
    labels: {},
    project: undefined,
    service: undefined,
    ...more,
  };
}

const all = {
  filter: '',
  runningOnly: false,
  folded: new Set<string>(),
  sort: 'name' as const,
  descending: false,
  usage: new Map(),
};
const shown = (rows: ReturnType<typeof listRows>) =>
  rows.map((row) => (row.kind === 'group' ? `[${row.project}]` : row.container.name));

describe('the rows of the container list', () => {
  test('compose projects come first, by name, with their containers by service', () => {
    const rows = listRows(
      [
        container('x'),
        container('b-web', { project: 'b', service: 'web' }),
        container('b-db', { project: 'b', service: 'db' }),
        container('a-1', { project: 'a' }),
      ],
      all,
    );
    expect(shown(rows)).toEqual(['[a]', 'a-1', '[b]', 'b-db', 'b-web', 'x']);
  });

  test('the order is by name with numbers as numbers, by age or by figures, both ways', () => {
    const rows = [
      container('web-10', { createdAt: 3 }),
      container('web-2', { createdAt: 2 }),
      container('a', { createdAt: 1 }),
    ];
    expect(shown(listRows(rows, all))).toEqual(['a', 'web-2', 'web-10']);
    expect(shown(listRows(rows, { ...all, sort: 'age' }))).toEqual(['web-10', 'web-2', 'a']);
    const usage = new Map([['web-2', { id: 'web-2', cpuPercent: 7, memoryBytes: 1, memoryLimitBytes: 2 }]]);
    expect(shown(listRows(rows, { ...all, sort: 'cpu', descending: true, usage }))[0]).toBe('web-2');
  });

  test('a folded project hides its containers and still counts them', () => {
    const rows = listRows([container('p-1', { project: 'p' }), container('p-2', { project: 'p', status: 'exited' })], {
      ...all,
      folded: new Set(['p']),
    });
    expect(rows).toMatchObject([{ kind: 'group', running: 1, members: [{ name: 'p-1' }, { name: 'p-2' }] }]);
  });

  test('every word of the filter must match name, image, project or id', () => {
    const rows = [container('web', { image: 'nginx:1' }), container('db', { image: 'postgres' })];
    expect(shown(listRows(rows, { ...all, filter: 'WEB ngin' }))).toEqual(['web']);
    expect(shown(listRows(rows, { ...all, filter: 'web postgres' }))).toEqual([]);
  });
});
