import { rmSync } from 'node:fs';

import { conflict } from '../../errors.ts';
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
  parts.registry.delete(container);
  parts.snapshots.remove(container.id);
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
