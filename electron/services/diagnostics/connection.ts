import type { AppState } from '../../contract/state.ts';
import type { Finding } from '../../contract/troubleshoot.ts';
import { findings } from './finding.ts';

const found = findings('connection');

/** Machine, tunnel and engine: the first of them that is not well. */
export function checkConnection({ machine, tunnel, engine }: AppState): Finding {
  if (machine.kind === 'stopped') return found('unknown', 'stopped', {}, 'start');
  if (machine.kind === 'starting' || machine.kind === 'stopping') return found('unknown', machine.kind);
  if (machine.kind === 'failed') {
    return found('bad', 'failed', { reason: [machine.reason, machine.hint].filter(Boolean).join(' ') }, 'start');
  }
  if (machine.kind === 'degraded') return found('bad', 'degraded', { reason: machine.reason }, 'restart');
  if (tunnel.kind === 'blocked') {
    return found('bad', 'blocked', { reason: [tunnel.reason, tunnel.hint].filter(Boolean).join(' ') }, 'restart');
  }
  if (tunnel.kind !== 'connected') {
    const reason = tunnel.kind === 'dialling' ? (tunnel.reason ?? '') : '';
    return found('warning', 'tunnel', { reason }, 'restart');
  }
  if (engine.kind === 'waiting') return found('warning', 'engine', { reason: engine.reason ?? '' }, 'restart');
  if (engine.kind !== 'ready') return found('warning', 'engine', { reason: '' }, 'restart');
  return found('good', 'ready', { version: engine.version });
}
