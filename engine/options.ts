import { parseArgs } from 'node:util';

import { type DaemonConfig, readConfig } from './config.ts';

export type { DaemonConfig } from './config.ts';

/** How skiffd is started. Paths are those of the machine it runs on. */
export interface EngineOptions {
  readonly dataRoot: string;
  readonly execRoot: string;
  /** unix:///path, tcp://host:port or fd://; those of the command line and those of daemon.json, at least one. */
  readonly hosts: readonly string[];
  readonly configFile: string | undefined;
  /** Folder of image archives that are loaded at start. */
  readonly preload: string | undefined;
  /** The address at which containers reach the machine that runs the VM. */
  readonly hostGatewayIp: string | undefined;
  /** Socket for the app on the machine that runs the VM. */
  readonly hostChannel: string | undefined;
  /** Where folders of the machine that runs the VM are mounted (see HostFolders). */
  readonly hostFolders: string | undefined;
  /** Gets the line `ready` when the API answers. */
  readonly notify: string | undefined;
  /** What to do instead of serving the API. */
  readonly command: 'fsck' | undefined;
  /** fsck reads every blob. */
  readonly deep: boolean;
  /** Only check daemon.json. */
  readonly validate: boolean;
  readonly config: DaemonConfig;
}

/** Throws for an unknown option, and for a daemon.json that can't be followed. */
export function parseOptions(argv: readonly string[]): EngineOptions {
  const { values, positionals } = parseArgs({
    args: [...argv],
    options: {
      'data-root': { type: 'string', default: '/var/lib/skiff' },
      'exec-root': { type: 'string', default: '/run/skiff' },
      host: { type: 'string', short: 'H', multiple: true },
      'config-file': { type: 'string' },
      preload: { type: 'string' },
      'host-gateway-ip': { type: 'string' },
      'host-channel': { type: 'string' },
      'host-folders': { type: 'string' },
      notify: { type: 'string' },
      validate: { type: 'boolean', default: false },
      deep: { type: 'boolean', default: false },
    },
    allowPositionals: true,
  });
  const config = readConfig(values['config-file']);
  const hosts = [...(values.host ?? []), ...(config.hosts ?? [])];
  return {
    dataRoot: values['data-root'],
    execRoot: values['exec-root'],
    hosts: hosts.length > 0 ? hosts : ['unix:///run/skiff/docker.sock'],
    configFile: values['config-file'],
    preload: values.preload,
    hostGatewayIp: config['host-gateway-ip'] ?? values['host-gateway-ip'],
    hostChannel: values['host-channel'],
    hostFolders: values['host-folders'],
    notify: values.notify,
    command: commandOf(positionals),
    deep: values.deep,
    validate: values.validate,
    config,
  };
}

function commandOf(words: readonly string[]): 'fsck' | undefined {
  if (words.length === 0) return undefined;
  if (words.length === 1 && words[0] === 'fsck') return 'fsck';
  throw new Error(`unknown command: ${words.join(' ')} (skiffd [options], skiffd [options] fsck [--deep])`);
}
