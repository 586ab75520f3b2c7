import { mkdirSync } from 'node:fs';
import { join } from 'node:path';

import { cancelled, EngineError } from '../../errors.ts';
import type { ContainerConfig } from '../../model/container.ts';
import type { ProcessExit } from '../../runtime/runtime.ts';
import type { OciMount } from '../../runtime/spec.ts';
import type { Digest } from '../../store/digest.ts';
import { apiTime } from '../clock.ts';
import { containerSpec } from '../containers/container-spec.ts';
import { writeNetworkFiles } from '../containers/network-files.ts';
import type { ContainerRecord } from '../containers/record.ts';
import { startFailure } from '../containers/start-errors.ts';
import { readFrames } from '../frames.ts';
import type { BuildParts } from './parts.ts';
import type { BuildLimits } from './request.ts';
import type { StepNetwork } from './step-network.ts';

export interface RunStep {
  /** The container's id: its snapshot is prepared under it. */
  readonly id: string;
  readonly args: readonly string[];
  readonly config: ContainerConfig;
  readonly limits: BuildLimits;
  readonly network: StepNetwork;
  readonly hostNetwork: boolean;
  /** Mounts beside those every container has; made once the root is mounted. */
  readonly mounts: (rootfs: string) => Promise<readonly OciMount[]>;
  readonly onOutput: (text: string) => void;
  readonly signal: AbortSignal;
}

const SIGKILL = 9;

/** A RUN that ended with another code than 0; the code goes into errorDetail. */
export class StepFailed extends EngineError {
  readonly code: number;

  constructor(message: string, code: number) {
    super('system', message);
    this.code = code;
  }
}

/** Runs one process on a prepared snapshot, as a container that no list shows. The snapshot is unmounted afterwards. */
export async function runStep(parts: BuildParts, step: RunStep): Promise<ProcessExit> {
  const { id, signal } = step;
  const { runtime, snapshots, settings } = parts;
  const record = recordOf(step);
  runtime.prepareBundle(id);
  const rootfs = runtime.rootfsOf(id);
  const kill = (): void => void runtime.signal(id, SIGKILL).catch(() => {});
  try {
    snapshots.mount(id, rootfs);
    const own = await step.mounts(rootfs);
    const spec = containerSpec(record, {
      rootfs,
      network: step.network.namespace,
      joined: {},
      mounts: [...fileMounts(parts, step, record), ...own],
      cgroupPath: runtime.cgroupOf(id, step.limits.CgroupParent),
      cgroupVersion: settings.cgroupVersion,
      bounding: settings.bounding,
      initPath: settings.initPath,
      initTarget: '',
    });
    const exit = parts.exits.expect(id);
    const output = await runtime.attach({ key: id, stdin: false, stdout: true, stderr: true, closeStdin: false });
    const drained = readFrames(output, step.onOutput);
    drained.catch(() => {});
    if (signal.aborted) throw cancelled();
    await runtime.start(id, '', spec, { tty: false, stdin: false }, { driver: 'none' }).catch((error) => {
      throw startFailure(error, step.args[0] ?? '').error;
    });
    signal.addEventListener('abort', kill);
    if (signal.aborted) kill();
    const ended = await exit;
    await drained;
    if (signal.aborted) throw cancelled();
    return ended;
  } finally {
    signal.removeEventListener('abort', kill);
    parts.exits.drop(id);
    runtime.cleanUp(id, '', step.limits.CgroupParent);
    await runtime.forget(id).catch(() => {});
  }
}

/** The sandbox that steps share, as the network's parts know containers. */
export const sandboxRecord = (id: string, networks: ContainerRecord['networks']): ContainerRecord =>
  recordOf({ id, args: [], config: {}, limits: {}, network: { namespace: 'private', networks }, hostNetwork: false });

type Recorded = Pick<RunStep, 'id' | 'args' | 'config' | 'limits' | 'network' | 'hostNetwork'>;

function recordOf({ id, args, config, limits, network, hostNetwork }: Recorded): ContainerRecord {
  return {
    id,
    name: id,
    created: apiTime(),
    imageId: '' as Digest,
    imageName: '',
    config: { ...config, Hostname: hostNetwork ? '' : id.slice(0, 12), Entrypoint: null, Cmd: [...args] },
    hostConfig: { ...limits, NetworkMode: hostNetwork ? 'host' : 'bridge' },
    state: { status: 'created', exitCode: 0, error: '' },
    networks: network.networks,
    ports: {},
    mounts: [],
    restartCount: 0,
    manuallyStopped: false,
  };
}

/** hosts, hostname and resolv.conf, in the bundle: they go with it. */
function fileMounts(parts: BuildParts, step: RunStep, record: ContainerRecord): OciMount[] {
  const directory = join(parts.runtime.bundleOf(step.id), 'files');
  mkdirSync(directory, { recursive: true, mode: 0o711 });
  writeNetworkFiles({
    directory,
    record,
    settings: parts.settings,
    links: [],
    hostNetwork: step.hostNetwork,
  });
  return ['resolv.conf', 'hostname', 'hosts'].map((name) => ({
    destination: `/etc/${name}`,
    type: 'bind',
    source: join(directory, name),
    options: ['rbind', 'rprivate', 'rw'],
  }));
}
