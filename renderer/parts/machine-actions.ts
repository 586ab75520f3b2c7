import { useI18n } from 'vue-i18n';
import { link } from '../link/link.ts';
import { confirm } from './confirm.ts';
import { runningInMachine } from './machine-containers.ts';
import { useProblems } from './problem.ts';

/** Start, stop and restart of the machine, as the status bar, the pages and the palette offer them. */
export function useMachineActions() {
  const { t } = useI18n();
  const { attempt } = useProblems();

  // A failed start is shown by the page itself, with its log.
  const start = () => void link.own.machine.start().then(undefined, () => {});

  async function mayStop(title: string, action: string): Promise<boolean> {
    const running = await runningInMachine();
    if (running === 0) return true;
    return confirm({
      title,
      text: t('machine.confirmStopText', { n: running }, running),
      action,
    });
  }

  async function stop(): Promise<void> {
    if (!(await mayStop(t('machine.confirmStop'), t('machine.stop')))) return;
    await attempt(t('machine.stop'), () => link.own.machine.stop());
  }

  async function restart(): Promise<void> {
    if (!(await mayStop(t('machine.confirmRestart'), t('machine.restart')))) return;
    await attempt(t('machine.restart'), () => link.own.machine.restart());
  }

  return { start, stop, restart };
}
