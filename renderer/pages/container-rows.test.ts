import { describe, expect, test } from 'vitest';
import type { ContainerRow } from '../../electron/contract/engine.ts';
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

const all = { filter: '', runningOnly: false, folded: new Set<string>() };
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

  test('single containers are listed newest first', () => {
    expect(shown(listRows([container('old', { createdAt: 1 }), container('new', { createdAt: 2 })], all))).toEqual([
      'new',
      'old',
    ]);
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
