import { invalidParameter } from '../../errors.ts';
import type { NamespaceChoice } from '../../runtime/spec.ts';
import { openNames } from '../containers/networking.ts';
import type { Endpoint } from '../containers/record.ts';
import { isRunning, pidOf } from '../containers/record.ts';
import { newId } from '../ids.ts';
import { allocateEndpoint, idleEndpoint, releaseEndpoint, sandboxEndpoints } from '../networks/endpoints.ts';
import type { BuildParts } from './parts.ts';
import { sandboxRecord } from './run-step.ts';

export interface StepNetwork {
  readonly namespace: NamespaceChoice;
  readonly networks: Readonly<Record<string, Endpoint>>;
}

/** Networks of a build's steps: one sandbox of each kind serves all of them, made when the first step needs it. */
export class StepNetworks {
  readonly #parts: BuildParts;
  readonly #made = new Map<string, { readonly id: string; readonly network: StepNetwork }>();

  constructor(parts: BuildParts) {
    this.#parts = parts;
  }

  /** @param mode as networkmode of POST /build */
  get(mode: string): StepNetwork {
    if (mode === 'host') return { namespace: 'host', networks: {} };
    if (mode.startsWith('container:')) return this.#join(mode.slice('container:'.length));
    const name = mode === '' || mode === 'default' ? 'bridge' : this.#parts.networks.get(mode).name;
    if (name === 'host') return this.get('host');
    const known = this.#made.get(name);
    if (known) return known.network;
    const id = newId();
    const network = name === 'none' ? this.#isolated(id) : this.#bridged(id, name);
    this.#made.set(name, { id, network });
    return network;
  }

  #join(reference: string): StepNetwork {
    const { record } = this.#parts.registry.get(reference);
    if (!isRunning(record)) throw invalidParameter(`cannot join network of a non running container: ${record.id}`);
    return { namespace: { path: `/proc/${pidOf(record)}/ns/net` }, networks: {} };
  }

  #isolated(id: string): StepNetwork {
    return { namespace: { path: this.#parts.sandboxes.create(id, []) }, networks: {} };
  }

  #bridged(id: string, name: string): StepNetwork {
    const { networks, bridges, sandboxes } = this.#parts;
    const record = networks.get(name);
    const endpoint = allocateEndpoint(bridges, record, idleEndpoint(record, {}, 0));
    try {
      const endpoints = { [record.name]: endpoint };
      const path = sandboxes.create(id, sandboxEndpoints(bridges, endpoints));
      openNames(this.#parts, sandboxRecord(id, endpoints));
      return { namespace: { path }, networks: endpoints };
    } catch (error) {
      releaseEndpoint(bridges, endpoint);
      throw error;
    }
  }

  close(): void {
    const { bridges, sandboxes } = this.#parts;
    for (const { id, network } of this.#made.values()) {
      this.#parts.names.close(id);
      sandboxes.release(id);
      for (const endpoint of Object.values(network.networks)) releaseEndpoint(bridges, endpoint);
    }
    this.#made.clear();
  }
}
