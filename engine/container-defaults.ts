import { readFileSync } from 'node:fs';

import type { DaemonConfig } from './config.ts';
import type { ContainerDefaults } from './daemon/containers/defaults.ts';
import { checkLogConfig } from './daemon/containers/logs/options.ts';
import { parseSize } from './daemon/sizes.ts';
import { messageOf } from './errors.ts';

const DEFAULT_SHM_SIZE = 64 * 1024 * 1024;

/** Containers' defaults from daemon.json. Throws with the key when its file can't be read. */
export function containerDefaults(config: DaemonConfig, cgroupVersion: 1 | 2): ContainerDefaults {
  checkLogConfig({ Type: config['log-driver'] ?? 'json-file', Config: { ...config['log-opts'] } });
  return {
    logDriver: config['log-driver'] ?? 'json-file',
    logOptions: config['log-opts'] ?? {},
    shmSize: parseSize(String(config['default-shm-size'] ?? DEFAULT_SHM_SIZE)),
    ipcMode: config['default-ipc-mode'] ?? 'private',
    cgroupnsMode: config['default-cgroupns-mode'] ?? (cgroupVersion === 2 ? 'private' : 'host'),
    cgroupParent: config['cgroup-parent'] ?? '',
    ulimits: Object.values(config['default-ulimits'] ?? {}),
    init: config.init ?? false,
    noNewPrivileges: config['no-new-privileges'] ?? false,
    seccomp: seccompProfile(config['seccomp-profile']),
  };
}

function seccompProfile(value: string | undefined): string | undefined {
  if (value === undefined || value === '' || value === 'builtin') return undefined;
  if (value === 'unconfined') return value;
  try {
    return readFileSync(value, 'utf8');
  } catch (error) {
    throw new Error(`seccomp-profile: opening seccomp profile failed: ${messageOf(error)}`);
  }
}
