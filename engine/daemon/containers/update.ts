import { conflict, invalidParameter, systemError } from '../../errors.ts';
import type { HostConfig, Resources, RestartPolicy } from '../../model/container.ts';
import { ociResources } from '../../runtime/resources.ts';
import type { Container } from './container.ts';
import { type ContainerParts, publish } from './parts.ts';
import { isRunning } from './record.ts';
import { checkResources } from './validate.ts';

/** POST /containers/{id}/update: new limits and restart policy, live when it runs. @returns warnings */
export async function updateContainer(
  parts: ContainerParts,
  container: Container,
  update: Resources & { RestartPolicy?: RestartPolicy },
): Promise<string[]> {
  const { RestartPolicy: policy, ...limits } = update;
  const { record } = container;
  const given: Resources = Object.fromEntries(
    Object.entries(limits).filter(([, value]) => value !== 0 && value != null && value !== ''),
  );
  checkConflicts(container, given);
  const hostConfig: HostConfig = { ...record.hostConfig, ...given };
  checkResources(hostConfig);
  if (policy?.Name) {
    if (record.hostConfig.AutoRemove && policy.Name !== 'no') {
      throw invalidParameter('Restart policy cannot be updated because AutoRemove is enabled for the container');
    }
    hostConfig.RestartPolicy = policy;
  }
  if (isRunning(record) && Object.keys(given).length > 0) {
    const { code, output } = await parts.runtime.update(
      container.id,
      record.hostConfig.Runtime ?? '',
      ociResources(hostConfig),
    );
    if (code !== 0) throw systemError(`Cannot update container ${container.id}: ${output.trim()}`);
  }
  parts.registry.update(container, { hostConfig });
  publish(parts, container, 'update');
  return [];
}

/** What can't be changed alone, because of what was set before (moby container.UpdateContainer). */
function checkConflicts(container: Container, given: Resources): void {
  const refuse = (words: string) => conflict(`Cannot update container ${container.id}: ${words}`);
  const set = container.record.hostConfig;
  const both = (wish: number | undefined, before: number | undefined) => (wish ?? 0) > 0 && (before ?? 0) > 0;
  const nano = 'Conflicting options: Nano CPUs cannot be updated as';
  if (both(given.NanoCpus, set.CpuPeriod)) throw refuse(`${nano} CPU Period has already been set`);
  if (both(given.NanoCpus, set.CpuQuota)) throw refuse(`${nano} CPU Quota has already been set`);
  if (both(given.CpuPeriod, set.NanoCpus))
    throw refuse('Conflicting options: CPU Period cannot be updated as NanoCPUs has already been set');
  if (both(given.CpuQuota, set.NanoCpus))
    throw refuse('Conflicting options: CPU Quota cannot be updated as NanoCPUs has already been set');
  // Without a wish of its own, swap was set to as much as memory.
  const swap = set.MemorySwap || (set.Memory ?? 0) * 2;
  if (swap !== -1 && (given.Memory ?? 0) > swap && !given.MemorySwap) {
    throw refuse(
      'Memory limit should be smaller than already set memoryswap limit, update the memoryswap at the same time',
    );
  }
}
