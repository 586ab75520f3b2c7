import { rm } from 'node:fs/promises';
import type Dockerode from 'dockerode';
import type { Implementation } from '../contract/contract.ts';
import { moveDisk } from '../machine/move-disk.ts';
import { createSnapshot, removeSnapshot, restoreSnapshot } from '../machine/snapshots.ts';
import type { BootImage, Machine } from '../machine/types.ts';
import type { EngineLink } from './engine-link.ts';
import { ServiceError } from './errors.ts';
import type { SettingsFile } from './settings.ts';

type Care = Pick<Implementation['machine'], 'compact' | 'grow' | 'moveDisk' | 'reset' | 'updateImage'>;

/** What changes the machine as a whole. None of it is broken off because a window was closed. */
export function machineCare(
  machine: Machine,
  settings: SettingsFile,
  engine: () => EngineLink,
  findImage: (() => Promise<BootImage>) | undefined,
): Care {
  return {
    compact: () => machine.compactDisk(),
    grow: async (diskGb) => {
      settings.effects({ diskGb }); // is it a size at all
      await machine.growDisk(diskGb);
      await settings.set({ diskGb });
    },
    moveDisk: async (folder) => {
      if (typeof folder !== 'string') throw new ServiceError('invalid', 'That is not a folder.');
      await stoppedMeanwhile(machine, () => machine.whileStopped((files) => moveDisk(files, folder)));
    },
    reset: async (options) => {
      if (options?.keepImages) await removeAllButImages(machine, engine());
      else {
        await stoppedMeanwhile(machine, () => machine.whileStopped(({ dataDisk }) => rm(dataDisk, { force: true })));
      }
    },
    updateImage: async () => {
      if (!findImage) throw new ServiceError('invalid', 'This Skiff has no other VM image.');
      const image = await findImage();
      const changed = image.version !== machine.imageVersion;
      if (changed) await stoppedMeanwhile(machine, async () => machine.configure({ image }));
      return { version: image.version, changed };
    },
  };
}

export function snapshotServices(machine: Machine): Implementation['snapshots'] {
  return {
    list: () => machine.snapshots(),
    create: (name) => machine.whileStopped((files) => createSnapshot(files, String(name))),
    restore: (name) => machine.whileStopped((files) => restoreSnapshot(files, String(name))),
    remove: (name) => machine.whileStopped((files) => removeSnapshot(files, String(name))),
  };
}

/** Afterwards the machine is as it was, running or not. */
async function stoppedMeanwhile(machine: Machine, work: () => Promise<void>): Promise<void> {
  const { kind } = machine.state;
  const ran = kind === 'running' || kind === 'degraded' || kind === 'starting';
  if (ran) await machine.stop();
  try {
    await work();
  } finally {
    if (ran) await machine.start();
  }
}

async function removeAllButImages(machine: Machine, engine: EngineLink): Promise<void> {
  await machine.start();
  const { docker } = engine;
  const containers = await docker.listContainers({ all: true });
  for (const { Id } of containers) await unlessGone(docker.getContainer(Id).remove({ force: true, v: true }));
  const { Volumes } = await docker.listVolumes();
  for (const { Name } of Volumes) await unlessGone(docker.getVolume(Name).remove({ force: true }));
  await docker.pruneNetworks();
  await pruneBuilds(docker);
}

/** dockerode's own has no way to say `all`. */
function pruneBuilds(docker: Dockerode): Promise<void> {
  return new Promise((done, fail) => {
    const options = { path: '/build/prune?all=1', method: 'POST', statusCodes: { 200: true, 500: 'server error' } };
    docker.modem.dial(options, (error: unknown) => (error ? fail(error) : done()));
  });
}

async function unlessGone(call: Promise<unknown>): Promise<void> {
  try {
    await call;
  } catch (error) {
    if ((error as { statusCode?: number }).statusCode !== 404) throw error;
  }
}
