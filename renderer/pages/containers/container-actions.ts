import { useI18n } from 'vue-i18n';
import type { ContainerRow } from '../../../electron/contract/engine.ts';
import { link } from '../../link/link.ts';
import { confirm } from '../../parts/confirm.ts';
import { useCopy } from '../../parts/copy.ts';
import { useProblems } from '../../parts/problem.ts';
import { type ContainerAction, useContainersStore } from '../../stores/containers.ts';
import { portAddress } from './port-address.ts';
import { inspectionParts } from './run-inspect.ts';
import { runLine } from './run-line.ts';

const UP: ContainerRow['status'][] = ['running', 'paused', 'restarting'];

/** Which of these an action makes sense for. */
export function fitting(rows: readonly ContainerRow[], action: ContainerAction): ContainerRow[] {
  return rows.filter(({ status }) => {
    if (action === 'remove') return status !== 'removing';
    if (action === 'start') return status === 'created' || status === 'exited' || status === 'dead';
    if (action === 'pause') return status === 'running';
    if (action === 'unpause') return status === 'paused';
    return UP.includes(status);
  });
}

/** What can be done with containers, as rows, groups, the selection and the page of one offer it. */
export function useContainerActions() {
  const { t } = useI18n();
  const containers = useContainersStore();
  const copy = useCopy();
  const { attempt } = useProblems();

  async function mayRemove(rows: readonly ContainerRow[], group: string | undefined): Promise<boolean> {
    const running = rows.filter(({ status }) => UP.includes(status));
    const [only] = rows;
    const names = rows.slice(0, 8).map(({ name }) => `• ${name}`);
    if (rows.length > names.length) names.push(t('containers.andMore', { n: rows.length - names.length }));
    if (rows.length === 1 && only && group === undefined) {
      const text = [t('containers.removeText'), ...(running.length > 0 ? [t('containers.removeRunning')] : [])];
      const title = t('containers.removeTitle', { name: only.name });
      return confirm({ title, text: text.join('\n'), action: t('containers.remove') });
    }
    const title =
      group === undefined
        ? t('containers.removeManyTitle', { n: rows.length }, rows.length)
        : t('containers.removeGroupTitle', { name: group });
    const text = [
      t('containers.removeGroupText', { n: rows.length }, rows.length),
      ...(running.length > 0 ? [t('containers.removeManyRunning', { n: running.length }, running.length)] : []),
      '',
      ...names,
    ];
    return confirm({ title, text: text.join('\n'), action: t('containers.remove') });
  }

  /** @param group name of the compose project that they are all of; undefined for a selection or a single one */
  async function act(rows: readonly ContainerRow[], action: ContainerAction, group?: string): Promise<boolean> {
    const fit = fitting(rows, action);
    if (fit.length === 0) return false;
    if (action === 'remove' && !(await mayRemove(fit, group))) return false;
    const what = group ?? (fit.length === 1 ? fit[0]?.name : String(fit.length));
    const done = await Promise.all(
      fit.map((row) =>
        attempt(`${t(`containers.${action}`)}: ${fit.length === 1 ? what : row.name}`, () =>
          containers.act(row, action),
        ),
      ),
    );
    return done.every(Boolean);
  }

  async function copyRun(row: ContainerRow): Promise<void> {
    await attempt(t('containers.copyRun'), async () => {
      await copy(runLine(inspectionParts(await link.client.containers.inspect(row.id))));
    });
  }

  return { act, copyRun, copyId: (row: ContainerRow) => copy(row.id) };
}

/** Where the first published port of a running container answers; `host`: the engine's. */
export function webAddress({ ports, status }: ContainerRow, host: string): string | undefined {
  if (status !== 'running') return undefined;
  for (const port of ports) {
    const address = portAddress(port, host);
    if (address) return address;
  }
  return undefined;
}
