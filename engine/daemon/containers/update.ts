import { invalidParameter, systemError } from '../../errors.ts';
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
  const given = Object.fromEntries(
    Object.entries(limits).filter(([, value]) => value !== 0 && value != null && value !== ''),
  );
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
