import { closeSync, mkdirSync, openSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';

import { createNetworkNamespace, releaseNetworkNamespace } from '../linux/namespaces.ts';
import { type Address, configureInside, createVeth, deleteInside } from './links.ts';

/** One interface of a container. */
export interface SandboxEndpoint {
  /** Unique on the machine; the veth's name on this side is made of it. */
  readonly endpointId: string;
  /** Index of the bridge it is plugged into. */
  readonly bridge: number;
  /** Number inside: eth<index>. */
  readonly index: number;
  readonly mac: string;
  readonly mtu: number;
  readonly addresses: readonly Address[];
  readonly gateways: readonly string[];
}

const innerIndex = (index: number): number => index + 2;
const innerName = (index: number): string => `eth${index}`;
export const hostName = (endpointId: string): string => `veth${endpointId.slice(0, 8)}`;

/**
 * Network namespaces of containers, pinned under exec-root/netns: made before the container's process, so that it starts
 * with its network in place, and released after it.
 */
export class Sandboxes {
  readonly #directory: string;

  constructor(execRoot: string) {
    this.#directory = join(execRoot, 'netns');
    mkdirSync(this.#directory, { recursive: true, mode: 0o700 });
  }

  pathOf(containerId: string): string {
    return join(this.#directory, containerId);
  }

  /** Makes a container's namespace and plugs it in. Undone whole when any part fails. */
  create(containerId: string, endpoints: readonly SandboxEndpoint[]): string {
    const path = this.pathOf(containerId);
    createNetworkNamespace(path);
    try {
      for (const endpoint of endpoints) plug(path, endpoint);
      configureInside(path, endpoints.map(inner));
      return path;
    } catch (error) {
      this.release(containerId);
      throw error;
    }
  }

  /** Adds an interface to a running container. */
  connect(containerId: string, endpoint: SandboxEndpoint): void {
    const path = this.pathOf(containerId);
    plug(path, endpoint);
    configureInside(path, [inner(endpoint)]);
  }

  /** Takes an interface out of a running container. */
  disconnect(containerId: string, index: number): void {
    deleteInside(this.pathOf(containerId), innerName(index));
  }

  /** Lets the namespace go with its interfaces; the kernel tears it down in the background. */
  release(containerId: string): void {
    const path = this.pathOf(containerId);
    releaseNetworkNamespace(path);
    rmSync(path, { force: true });
  }

  /** Releases what a crash left: namespaces of containers that don't run. */
  sweep(keep: (containerId: string) => boolean): void {
    for (const name of readdirSync(this.#directory)) if (!keep(name)) this.release(name);
  }
}

function plug(path: string, endpoint: SandboxEndpoint): void {
  const namespaceFd = openSync(path, 'r');
  try {
    createVeth({
      hostName: hostName(endpoint.endpointId),
      innerName: innerName(endpoint.index),
      innerIndex: innerIndex(endpoint.index),
      mac: endpoint.mac,
      mtu: endpoint.mtu,
      bridge: endpoint.bridge,
      namespaceFd,
    });
  } finally {
    closeSync(namespaceFd);
  }
}

const inner = (endpoint: SandboxEndpoint) => ({
  index: innerIndex(endpoint.index),
  addresses: endpoint.addresses,
  gateways: endpoint.gateways,
});
