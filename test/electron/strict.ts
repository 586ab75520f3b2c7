/**
 * An object that has what it has: anything else that is read from it, or called on it, is an error. A stand-in that quietly
 * returned undefined would let the app use API that nobody has tested.
 */
export function strict<T extends object>(name: string, object: T): T {
  return new Proxy(object, {
    get(target, property) {
      const quiet = typeof property === 'symbol' || property === 'then' || property === 'toJSON';
      if (property in target || quiet) {
        const value: unknown = Reflect.get(target, property, target);
        // Methods with private fields work only on the object itself.
        return typeof value === 'function' ? value.bind(target) : value;
      }
      throw new Error(`the stand-in for electron does not cover ${name}.${property}`);
    },
  });
}

/** Throws when the app passes an option that the stand-in would ignore. */
export function knownOnly(name: string, options: object, known: readonly string[]): void {
  const odd = Object.keys(options).find((key) => !known.includes(key));
  if (odd) throw new Error(`the stand-in for electron does not cover the option ${odd} of ${name}`);
}

/** Events that are covered; `emit` tells whether somebody prevented the default. */
export class Emitter<Names extends string> {
  #name: string;
  #known: readonly Names[];
  #listeners = new Map<string, ((...args: unknown[]) => void)[]>();

  constructor(name: string, known: readonly Names[]) {
    this.#name = name;
    this.#known = known;
  }

  on(event: Names, listener: (...args: never[]) => void): this {
    if (!this.#known.includes(event))
      throw new Error(`the stand-in for electron does not cover ${this.#name}'s ${event}`);
    this.#listeners.set(event, [...(this.#listeners.get(event) ?? []), listener as (...args: unknown[]) => void]);
    return this;
  }

  once(event: Names, listener: (...args: never[]) => void): this {
    let done = false;
    return this.on(event, (...args) => {
      if (done) return;
      done = true;
      listener(...args);
    });
  }

  /** `details` become properties of the event. Returns true when the default was prevented. */
  emit(event: Names, details: object = {}, ...args: unknown[]): boolean {
    let prevented = false;
    const object = {
      ...details,
      preventDefault: () => {
        prevented = true;
      },
    };
    for (const listener of this.#listeners.get(event) ?? []) listener(object, ...args);
    return prevented;
  }
}
