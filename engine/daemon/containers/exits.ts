import { messageOf } from '../../errors.ts';
import { log } from '../../log.ts';
import type { ProcessExit } from '../../runtime/runtime.ts';
import { apiTime } from '../clock.ts';
import type { Container } from './container.ts';
import { tearDownNetwork } from './networking.ts';
import { type ContainerParts, publish, publishNetworks } from './parts.ts';
import type { Ended } from './record.ts';
import { releaseVolumes } from './volume-use.ts';

/**
 * A container's process has ended: its network, mounts and cgroup go, its record says so. The caller holds the mutex; what
 * follows (restart, removal) is the caller's.
 *
 * Durable when: the record is written before the shim forgets the exit, so a crash in between only repeats this.
 */
export async function settleExit(
  parts: ContainerParts,
  container: Container,
  exit: ProcessExit,
  error = '',
): Promise<void> {
  const { record } = container;
  if (record.state.status !== 'running') return;
  const { Runtime = '', CgroupParent } = record.hostConfig;
  const oomKilled = parts.runtime.oomKilled(container.id, CgroupParent);
  const networks = await tearDownNetwork(parts, record).catch((reason) => {
    log.warn('network left behind', { container: container.id, error: messageOf(reason) });
    return record.networks;
  });
  publishNetworks(parts, record, 'disconnect');
  parts.runtime.cleanUp(container.id, Runtime, CgroupParent);
  await releaseVolumes(parts, record);
  const ended: Ended = {
    exitCode: exit.code,
    oomKilled,
    error,
    startedAt: record.state.startedAt,
    finishedAt: apiTime(exit.at),
  };
  parts.registry.update(container, { networks, ports: {}, state: { status: 'exited', ...ended } });
  await parts.runtime.forget(container.id).catch(() => {});
  if (oomKilled) publish(parts, container, 'oom');
  const seconds = Math.max(0, Math.round((exit.at - Date.parse(ended.startedAt)) / 1000));
  publish(parts, container, 'die', { exitCode: String(exit.code), execDuration: String(seconds) });
}
