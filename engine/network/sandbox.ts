import { closeSync, mkdirSync, openSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';

import { hasCode, messageOf, systemError } from '../errors.ts';
import { createNetworkNamespace, releaseNetworkNamespace } from '../linux/namespaces.ts';
import {
  type Address,
  configureInside,
  createInnerLink,
  deleteInside,
  deleteLink,
  type InnerLink,
  type LinkKind,
  linksOfGroup,
  renameInside,
  setDefaultRoutes,
} from './links.ts';

/** One interface of a container. */
export interface SandboxEndpoint {
  readonly link: LinkKind;
  /** Number inside; its name is the prefix and this. */
  readonly index: number;
  /** `eth` unless the network says otherwise. */
  readonly name: string;
  readonly mac: string;
  readonly mtu: number;
  readonly addresses: readonly Address[];
  readonly gateways: InnerLink['gateways'];
  /** `net.ipv4.conf.IFNAME.log_martians=1`: set before the link is up. */
  readonly sysctls: readonly string[];
}

/** The veth's name on the machine's side. */
export const outerName = (endpointId: string): string => `veth${endpointId.slice(0, 8)}`;
const OUTER_NAME = /^veth[0-9a-f]{8}$/;

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

  /** Adds an interface to a running container; nothing of it stays when any part fails. */
  connect(containerId: string, endpoint: SandboxEndpoint): void {
    const path = this.pathOf(containerId);
    plug(path, endpoint);
    try {
      configureInside(path, [inner(endpoint)]);
    } catch (error) {
      deleteInside(path, endpoint.name);
      throw error;
    }
  }

  /** Takes an interface out of a running container. */
  disconnect(containerId: string, name: string): void {
    deleteInside(this.pathOf(containerId), name);
  }

  /** Default routes again, after an interface came or went. */
  route(containerId: string, endpoints: readonly SandboxEndpoint[]): void {
    setDefaultRoutes(this.pathOf(containerId), endpoints.map(inner));
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

/**
 * Deletes the engine's links that no record speaks of: a crash came between them and their record.
 * @param group the engine's own
 * @param keep names of all that belong
 * @returns the veths that are there
 */
export function sweepLinks(group: number, keep: ReadonlySet<string>): Set<string> {
  const there = new Set<string>();
  for (const name of linksOfGroup(group)) {
    if (!keep.has(name)) deleteLink(name);
    else if (OUTER_NAME.test(name)) there.add(name);
  }
  return there;
}

function plug(path: string, endpoint: SandboxEndpoint): void {
  const namespaceFd = openSync(path, 'r');
  try {
    createInnerLink({
      link: endpoint.link,
      innerName: endpoint.name,
      mac: endpoint.mac,
      mtu: endpoint.mtu,
      namespaceFd,
    });
    if (endpoint.link.kind !== 'veth') renameInside(path, endpoint.link.firstName, endpoint.name);
  } catch (error) {
    if (!hasCode(error, 'EEXIST', 'EINVAL', 'ERANGE')) throw error;
    const was = endpoint.link.kind === 'veth' ? endpoint.link.outer.name : endpoint.link.firstName;
    const reason = messageOf(error).replace(/^.*: /, '').toLowerCase();
    throw systemError(`error renaming interface "${was}" to "${endpoint.name}": ${reason}`, error);
  } finally {
    closeSync(namespaceFd);
  }
}

const inner = (endpoint: SandboxEndpoint): InnerLink => ({
  name: endpoint.name,
  addresses: endpoint.addresses,
  gateways: endpoint.gateways,
  sysctls: endpoint.sysctls,
});
