import { existsSync, readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';

import { messageOf } from './errors.ts';

/** How skiffd is started. Paths are those of the machine it runs on. */
export interface EngineOptions {
  readonly dataRoot: string;
  readonly execRoot: string;
  /** unix:///path or tcp://host:port; at least one. */
  readonly hosts: readonly string[];
  readonly configFile: string | undefined;
  /** Folder of image archives that are loaded at start. */
  readonly preload: string | undefined;
  /** The address at which containers reach the machine that runs the VM. */
  readonly hostGatewayIp: string | undefined;
  /** Socket for the app on the machine that runs the VM. */
  readonly hostChannel: string | undefined;
  /** Gets the line `ready` when the API answers. */
  readonly notify: string | undefined;
  readonly config: DaemonConfig;
}

/** The part of daemon.json that the engine knows. */
export interface DaemonConfig {
  readonly debug?: boolean;
  readonly dns?: readonly string[];
  readonly labels?: readonly string[];
  readonly 'registry-mirrors'?: readonly string[];
  readonly 'insecure-registries'?: readonly string[];
  readonly 'max-concurrent-downloads'?: number;
  readonly 'max-concurrent-uploads'?: number;
  readonly 'max-download-attempts'?: number;
  readonly 'default-runtime'?: string;
  readonly 'shutdown-timeout'?: number;
}

export function parseOptions(argv: readonly string[]): EngineOptions {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      'data-root': { type: 'string', default: '/var/lib/skiff' },
      'exec-root': { type: 'string', default: '/run/skiff' },
      host: { type: 'string', short: 'H', multiple: true },
      'config-file': { type: 'string' },
      preload: { type: 'string' },
      'host-gateway-ip': { type: 'string' },
      'host-channel': { type: 'string' },
      notify: { type: 'string' },
    },
  });
  return {
    dataRoot: values['data-root'],
    execRoot: values['exec-root'],
    hosts: values.host ?? ['unix:///run/skiff/docker.sock'],
    configFile: values['config-file'],
    preload: values.preload,
    hostGatewayIp: values['host-gateway-ip'],
    hostChannel: values['host-channel'],
    notify: values.notify,
    config: readConfig(values['config-file']),
  };
}

function readConfig(path: string | undefined): DaemonConfig {
  if (!path || !existsSync(path)) return {};
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as DaemonConfig;
  } catch (error) {
    throw new Error(`unable to configure the engine with file ${path}: ${messageOf(error)}`);
  }
}
