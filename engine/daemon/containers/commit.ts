import { familiar, parseReference } from '../../content/reference.ts';
import { conflict } from '../../errors.ts';
import type { ContainerConfig } from '../../model/container.ts';
import type { Container } from './container.ts';
import { type ContainerParts, publish } from './parts.ts';
import { isRunning } from './record.ts';
import { pauseContainer, unpauseContainer } from './stop.ts';

type CommitDefaults = Parameters<ContainerParts['images']['commit']>[0]['config'];

/** What POST /commit asks for. */
export interface CommitOptions {
  /** `repo[:tag]`; undefined: an image without a name. */
  readonly reference?: string;
  readonly comment?: string;
  readonly author?: string;
  /** Dockerfile instructions: `ENV A=b`. */
  readonly changes: readonly string[];
  /** Hold the processes still while the layer is read. */
  readonly pause: boolean;
  /** Replaces the container's own configuration, which fills its gaps. */
  readonly config?: ContainerConfig;
}

/** POST /commit: an image of the container's changes. The caller holds its mutex. @returns the image's id */
export async function commitContainer(
  parts: ContainerParts,
  container: Container,
  options: CommitOptions,
  signal: AbortSignal,
): Promise<string> {
  const { record } = container;
  if (record.state.status === 'dead') throw conflict(`You cannot commit container ${record.name} which is Dead`);
  if (container.removing) throw conflict(`You cannot commit container ${record.name} which is being removed`);
  const pauses = options.pause && isRunning(record) && !(record.state.status === 'running' && record.state.paused);
  // As dockerd: a real pause, with its record and events, so that one that a crash left behind is seen and can be undone.
  if (pauses) pauseContainer(parts, container);
  try {
    const parent = parts.images.get(record.imageId).id;
    const image = await parts.images.commit(
      {
        parent,
        diff: parts.snapshots.diffTar(container.id, signal),
        config: imageDefaults({ ...record.config, ...definedOf(options.config) }),
        changes: options.changes,
        reference: options.reference,
        author: options.author,
        comment: options.comment,
        createdBy: (record.config.Cmd ?? []).join(' '),
      },
      signal,
    );
    publish(parts, container, 'commit', {
      comment: options.comment ?? '',
      imageID: image,
      imageRef: options.reference ? familiar(parseReference(options.reference)) : '',
    });
    return image;
  } finally {
    if (pauses && isRunning(container.record)) unpauseContainer(parts, container);
  }
}

const definedOf = (config: ContainerConfig = {}): ContainerConfig =>
  Object.fromEntries(Object.entries(config).filter(([, value]) => value !== null && value !== undefined));

/** What of a container's configuration an image may say (OCI image specification, config). */
function imageDefaults(config: ContainerConfig): CommitDefaults {
  const { User, ExposedPorts, Env, Entrypoint, Cmd, Volumes, WorkingDir, Labels, StopSignal } = config;
  const { Healthcheck, OnBuild, Shell, StopTimeout } = config;
  const given = { User, ExposedPorts, Env, Entrypoint, Cmd, Volumes, WorkingDir, Labels, StopSignal };
  return definedOf({ ...given, Healthcheck, OnBuild, Shell, StopTimeout }) as CommitDefaults;
}
