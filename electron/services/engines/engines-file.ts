import { randomUUID } from 'node:crypto';
import { open, readFile, rename } from 'node:fs/promises';
import { join } from 'node:path';
import type { EngineAddress, EngineEntry, EngineList } from '../../contract/engines.ts';
import { ServiceError } from '../errors.ts';
import { checkedWish, portHost } from './address.ts';

/** The engine in Skiff's own machine. */
export const OWN_ENGINE = 'skiff';
const OWN: EngineEntry = { id: OWN_ENGINE, name: 'Skiff', address: undefined, portHost: 'localhost' };

interface Kept {
  id: string;
  name: string;
  address: EngineAddress;
}

/** The user's engines, and which of them was chosen last: `engines.json` in the app's folder, readable by the user only. */
export class EnginesFile {
  readonly #path: string;
  #kept: Kept[] = [];
  #chosen = OWN_ENGINE;

  private constructor(path: string) {
    this.#path = path;
  }

  /** What is damaged in the file is left out: it must never keep the app from starting. */
  static async open(home: string): Promise<EnginesFile> {
    const file = new EnginesFile(join(home, 'engines.json'));
    try {
      const found = JSON.parse(await readFile(file.#path, 'utf8')) as { engines?: unknown; chosen?: unknown };
      for (const one of Array.isArray(found.engines) ? found.engines : []) file.#take(one);
      if (file.has(found.chosen)) file.#chosen = found.chosen;
    } catch {
      // none yet, or damaged
    }
    return file;
  }

  get list(): EngineList {
    const others = this.#kept.map(({ id, name, address }) => ({ id, name, address, portHost: portHost(address) }));
    return { engines: [OWN, ...others], chosen: this.#chosen };
  }

  has(id: unknown): id is string {
    return id === OWN_ENGINE || this.#kept.some((one) => one.id === id);
  }

  /** Throws ServiceError 'not-found'; Skiff's own is none of these. */
  get(id: unknown): Kept {
    const found = this.#kept.find((one) => one.id === id);
    if (found) return found;
    throw new ServiceError('not-found', 'There is no such engine any more.');
  }

  /** Durable when it resolves, as all below. Throws ServiceError 'invalid' or 'conflict'. */
  async add(wish: unknown): Promise<string> {
    const checked = checkedWish(wish);
    this.#mustBeFree(checked.name);
    const id = randomUUID();
    await this.#save([...this.#kept, { id, ...checked }], this.#chosen);
    return id;
  }

  async edit(id: unknown, wish: unknown): Promise<void> {
    const old = this.get(id);
    const checked = checkedWish(wish);
    this.#mustBeFree(checked.name, old.id);
    await this.#save(
      this.#kept.map((one) => (one === old ? { id: old.id, ...checked } : one)),
      this.#chosen,
    );
  }

  async remove(id: unknown): Promise<void> {
    const old = this.get(id);
    const left = this.#kept.filter((one) => one !== old);
    await this.#save(left, this.#chosen === old.id ? OWN_ENGINE : this.#chosen);
  }

  async choose(id: unknown): Promise<void> {
    if (!this.has(id)) this.get(id);
    if (id !== this.#chosen) await this.#save(this.#kept, id as string);
  }

  #take(value: unknown): void {
    const { id } = (value ?? {}) as Record<string, unknown>;
    if (typeof id !== 'string' || !/^[\w-]+$/.test(id) || this.has(id)) return;
    try {
      this.#kept.push({ id, ...checkedWish(value) });
    } catch {
      // of another version, or damaged
    }
  }

  #mustBeFree(name: string, except?: string): void {
    const same = (one: { name: string }) => one.name.toLowerCase() === name.toLowerCase();
    if (!this.list.engines.some((one) => one.id !== except && same(one))) return;
    throw new ServiceError('conflict', `There is an engine “${name}” already.`, 'Choose another name.');
  }

  async #save(kept: Kept[], chosen: string): Promise<void> {
    const temporary = `${this.#path}.new`;
    const file = await open(temporary, 'w', 0o600);
    try {
      await file.writeFile(`${JSON.stringify({ chosen, engines: kept }, undefined, 2)}\n`);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, this.#path);
    this.#kept = kept;
    this.#chosen = chosen;
  }
}
