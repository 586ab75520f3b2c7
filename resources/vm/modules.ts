/** Picks kernel modules with what they depend on, and writes the indexes that busybox's modprobe reads. */
import { readdir, readFile } from 'node:fs/promises';
import { basename, join, relative } from 'node:path';
import { type ModuleInfo, moduleInfo } from './elf.ts';
import { decompress } from './kernel.ts';

export interface KernelModule extends ModuleInfo {
  /** with underscores, as the kernel names it */
  name: string;
  /** below /lib/modules/<version>, ends in .ko */
  path: string;
  data: Buffer;
}

/** All modules of an unpacked kernel package by name; their content is read when picked. */
export class ModuleTree {
  readonly #files = new Map<string, string>();
  readonly #loaded = new Map<string, KernelModule>();
  readonly #builtin = new Set<string>();
  readonly #dir: string;

  private constructor(dir: string) {
    this.#dir = dir;
  }

  /** `dir`: lib/modules/<version> of the kernel package */
  static async open(dir: string): Promise<ModuleTree> {
    const tree = new ModuleTree(dir);
    for (const entry of await readdir(dir, { recursive: true, withFileTypes: true })) {
      if (/\.ko(\.\w+)?$/.test(entry.name)) tree.#files.set(moduleName(entry.name), join(entry.parentPath, entry.name));
    }
    for (const line of (await readFile(join(dir, 'modules.builtin'), 'utf8')).split('\n')) {
      if (line) tree.#builtin.add(moduleName(basename(line)));
    }
    return tree;
  }

  /**
   * The modules whose names match (a `*` stands for anything) and all they need, dependencies first. A name that is neither
   * there nor built in throws, unless `optional` matches it.
   */
  async pick(names: string[], optional: RegExp): Promise<KernelModule[]> {
    const picked = new Map<string, KernelModule>();
    const add = async (name: string, soft: boolean): Promise<void> => {
      if (picked.has(name) || this.#builtin.has(name)) return;
      if (!this.#files.has(name)) {
        if (soft) return;
        throw new Error(`the kernel has no module ${name}`);
      }
      const module = await this.#load(name);
      for (const dep of module.depends) await add(moduleName(dep), false);
      for (const dep of module.softPre) await add(moduleName(dep), true);
      picked.set(name, module);
    };
    for (const wanted of names) for (const name of this.#matching(wanted)) await add(name, optional.test(wanted));
    return [...picked.values()];
  }

  #matching(wanted: string): string[] {
    if (!wanted.includes('*')) return [moduleName(wanted)];
    const pattern = new RegExp(`^${moduleName(wanted).replace('*', '.*')}$`);
    return [...this.#files.keys()].filter((name) => pattern.test(name)).sort();
  }

  async #load(name: string): Promise<KernelModule> {
    const known = this.#loaded.get(name);
    if (known) return known;
    const file = this.#files.get(name)!;
    const raw = await readFile(file);
    const data = file.endsWith('.ko') ? raw : await decompress(raw);
    const path = relative(this.#dir, file).replace(/\.ko\.\w+$/, '.ko');
    const module = { name, path, data, ...moduleInfo(data) };
    this.#loaded.set(name, module);
    return module;
  }
}

/** modules.dep and modules.alias for `modules`, in the text form of depmod(8). */
export function moduleIndexes(modules: KernelModule[]): { dep: string; alias: string } {
  const byName = new Map(modules.map((module) => [module.name, module]));
  /** What a module needs, each after all that it needs itself. */
  const closure = (module: KernelModule, seen = new Set<KernelModule>()): KernelModule[] =>
    [...module.depends, ...module.softPre].flatMap((name) => {
      const dep = byName.get(moduleName(name));
      if (!dep || seen.has(dep)) return [];
      seen.add(dep);
      return [...closure(dep, seen), dep];
    });
  // modprobe loads a line from its end.
  const line = (module: KernelModule) =>
    closure(module)
      .reverse()
      .map((dep) => ` ${dep.path}`);
  const dep = modules.map((module) => `${module.path}:${line(module).join('')}\n`);
  const alias = modules.flatMap((module) => module.aliases.map((name) => `alias ${name} ${module.name}\n`));
  return { dep: dep.join(''), alias: alias.join('') };
}

function moduleName(file: string): string {
  return file.replace(/\.ko(\.\w+)?$/, '').replaceAll('-', '_');
}
