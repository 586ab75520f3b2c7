import { existsSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';

import { conflict, invalidParameter, notFound } from '../../errors.ts';
import type { Container } from './container.ts';
import { containerDirectory } from './create.ts';
import { type ContainerParts, publish } from './parts.ts';
import { isRunning } from './record.ts';
import { killContainer } from './stop.ts';

export interface RemoveOptions {
  readonly force?: boolean;
  readonly volumes?: boolean;
}

/** DELETE /containers/{id}. Called without the mutex: killing waits for the exit, which needs it. */
export async function removeContainer(
  parts: ContainerParts,
  container: Container,
  options: RemoveOptions = {},
): Promise<void> {
  if (container.removing) throw conflict(`removal of container ${container.id} is already in progress`);
  checkStopped(container, options);
  container.removing = true;
  try {
    container.cancelRestart?.();
    // Whoever was starting it goes first: then it runs after all, once.
    while (!(await endAndDiscard(parts, container, options)));
  } finally {
    container.removing = false;
  }
}

function checkStopped({ record }: Container, options: RemoveOptions): void {
  if (!isRunning(record) || options.force) return;
  const paused = record.state.status === 'running' && record.state.paused;
  const what = paused
    ? 'container is paused and must be unpaused first'
    : 'container is running: stop the container before removing or force remove';
  throw conflict(`cannot remove container ${JSON.stringify(`/${record.name}`)}: ${what}`);
}

/** @returns whether it is gone; false when it had begun to run meanwhile */
async function endAndDiscard(parts: ContainerParts, container: Container, options: RemoveOptions): Promise<boolean> {
  checkStopped(container, options);
  if (isRunning(container.record)) {
    const ended = container.waitFor('exit');
    await killContainer(parts, container).catch((error) => {
      if (isRunning(container.record)) throw error;
    });
    if (isRunning(container.record)) await ended;
  }
  return container.mutex.run(async () => {
    if (isRunning(container.record)) return false;
    await discard(parts, container, options.volumes ?? false);
    return true;
  });
}

/** Deletes a stopped container: first its record, so that no crash leaves one whose files are gone. */
export async function discard(parts: ContainerParts, container: Container, volumes: boolean): Promise<void> {
  const { record } = container;
  if (parts.registry.byId(container.id) !== container) return;
  let throwAway = (): void => {};
  parts.registry.delete(container, () => {
    throwAway = parts.snapshots.forget(container.id);
  });
  throwAway();
  rmSync(containerDirectory(parts.settings.dataRoot, container.id), { recursive: true, force: true });
  if (volumes) {
    for (const mount of record.mounts) {
      if (mount.anonymous && mount.name && parts.volumes.has(mount.name)) removeIfUnused(parts, mount.name);
    }
  }
  publish(parts, container, 'destroy');
  const code = record.state.status === 'running' ? 0 : record.state.exitCode;
  container.notify('removed', { exitCode: code });
  // Clients that attached and waited for a start that never came.
  await parts.runtime.forget(container.id).catch(() => {});
}

function removeIfUnused(parts: ContainerParts, volume: string): void {
  try {
    parts.volumes.remove(volume);
  } catch {
    // Another container took it over with --volumes-from.
  }
}

/** `docker rm --link parent/alias`: the parent knows the other by that alias no longer. */
export function removeLink(parts: ContainerParts, name: string): void {
  const [alias = '', ...rest] = name.replace(/^\//, '').split('/').reverse();
  const parentName = rest.reverse().join('/');
  if (!parentName) throw invalidParameter('Conflict, cannot remove the default link name of the container');
  const parent = parts.registry.find(parentName);
  if (!parent) throw notFound(`Cannot get parent /${parentName} for name /${parentName}/${alias}`);
  const { hostConfig } = parent.record;
  const links = (hostConfig.Links ?? []).filter((link) => (link.split(':')[1] ?? link).replace(/^.*\//, '') !== alias);
  if (links.length === (hostConfig.Links ?? []).length) throw notFound(`No such link: /${parentName}/${alias}`);
  parts.registry.update(parent, { hostConfig: { ...hostConfig, Links: links } });
}

/** Folders of containers whose removal a crash cut short, or whose record was never written. */
export function sweepFolders(parts: ContainerParts): void {
  const base = containerDirectory(parts.settings.dataRoot, '');
  if (!existsSync(base)) return;
  for (const id of readdirSync(base)) {
    if (!parts.registry.byId(id)) rmSync(join(base, id), { recursive: true, force: true });
  }
}
