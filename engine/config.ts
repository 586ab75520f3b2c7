import { existsSync, readFileSync } from 'node:fs';

import { problemOf } from './config-keys.ts';
import { messageOf } from './errors.ts';

export interface UlimitDefault {
  readonly Name: string;
  readonly Soft: number;
  readonly Hard: number;
}

/** daemon.json after its check: dockerd's names, none of them ignored. */
export interface DaemonConfig {
  readonly 'allow-insecure-tcp'?: boolean;
  readonly 'authorization-plugins'?: readonly string[];
  readonly bip?: string;
  readonly bip6?: string;
  readonly builder?: {
    readonly gc?: {
      readonly enabled?: boolean;
      readonly defaultKeepStorage?: string | number;
      readonly maxUsedSpace?: string | number;
    };
  };
  readonly 'cgroup-parent'?: string;
  readonly debug?: boolean;
  readonly 'default-address-pools'?: readonly { readonly base: string; readonly size: number }[];
  readonly 'default-cgroupns-mode'?: 'private' | 'host';
  readonly 'default-gateway'?: string;
  readonly 'default-gateway-v6'?: string;
  readonly 'default-ipc-mode'?: 'private' | 'shareable';
  readonly 'default-network-opts'?: Readonly<Record<string, Readonly<Record<string, string>>>>;
  readonly 'default-runtime'?: string;
  readonly 'default-shm-size'?: string | number;
  readonly 'default-ulimits'?: Readonly<Record<string, UlimitDefault>>;
  readonly dns?: readonly string[];
  readonly 'dns-opts'?: readonly string[];
  readonly 'dns-search'?: readonly string[];
  readonly experimental?: boolean;
  readonly 'fixed-cidr'?: string;
  readonly 'fixed-cidr-v6'?: string;
  readonly 'host-gateway-ip'?: string;
  readonly hosts?: readonly string[];
  readonly icc?: boolean;
  readonly init?: boolean;
  readonly 'init-path'?: string;
  readonly 'insecure-registries'?: readonly string[];
  readonly ip?: string;
  readonly 'ip-masq'?: boolean;
  readonly ipv6?: boolean;
  readonly labels?: readonly string[];
  readonly 'live-restore'?: boolean;
  readonly 'log-driver'?: string;
  readonly 'log-level'?: 'debug' | 'info' | 'warn' | 'error' | 'fatal';
  readonly 'log-opts'?: Readonly<Record<string, string>>;
  readonly 'max-concurrent-downloads'?: number;
  readonly 'max-concurrent-uploads'?: number;
  readonly 'max-download-attempts'?: number;
  readonly 'metrics-addr'?: string;
  readonly mtu?: number;
  readonly 'no-new-privileges'?: boolean;
  readonly proxies?: { readonly 'http-proxy'?: string; readonly 'https-proxy'?: string; readonly 'no-proxy'?: string };
  readonly 'registry-mirrors'?: readonly string[];
  readonly runtimes?: Readonly<Record<string, { readonly path: string }>>;
  readonly 'seccomp-profile'?: string;
  readonly 'shutdown-timeout'?: number;
  readonly tls?: boolean;
  readonly tlscacert?: string;
  readonly tlscert?: string;
  readonly tlskey?: string;
  readonly tlsverify?: boolean;
}

/**
 * Reads and checks daemon.json; a file that isn't there is an empty one. Throws an Error that names the file, and each key that is
 * wrong with what was expected.
 */
export function readConfig(path: string | undefined): DaemonConfig {
  if (!path || !existsSync(path)) return {};
  const fail = (reason: string): never => {
    throw new Error(`unable to configure the engine with file ${path}: ${reason}`);
  };
  let value: unknown;
  try {
    value = JSON.parse(readFileSync(path, 'utf8'));
  } catch (error) {
    return fail(messageOf(error));
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return fail('expected a JSON object');
  const problems = Object.entries(value).flatMap(([key, entry]) => problemOf(key, entry) ?? []);
  if (problems.length > 0) fail(problems.join('; '));
  return value as DaemonConfig;
}
