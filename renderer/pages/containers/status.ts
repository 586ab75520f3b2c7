import type { ContainerRow } from '../../../electron/contract/engine.ts';

/** The dot of a container. Docker puts health and exit code into its sentence only. */
export function statusTone({ status, statusText }: ContainerRow): 'good' | 'busy' | 'bad' | 'off' {
  if (status === 'running') {
    if (statusText.includes('(unhealthy)')) return 'bad';
    return statusText.includes('(health: starting)') ? 'busy' : 'good';
  }
  if (status === 'restarting' || status === 'paused' || status === 'removing') return 'busy';
  return status === 'dead' ? 'bad' : 'off';
}
