import type { Context } from './context.ts';

export type Handler = (context: Context) => Promise<void> | void;

/** One operation of the API. `path` is the swagger's, without version prefix; `{name:.*}` may span slashes. */
export interface Route {
  readonly method: 'GET' | 'HEAD' | 'POST' | 'PUT' | 'DELETE' | 'OPTIONS';
  readonly path: string;
  readonly handler: Handler;
}

export const route = (method: Route['method'], path: string, handler: Handler): Route => ({ method, path, handler });

interface Compiled {
  readonly method: string;
  readonly pattern: RegExp;
  readonly names: readonly string[];
  readonly handler: Handler;
}

export type Match =
  | { readonly kind: 'found'; readonly handler: Handler; readonly params: Record<string, string> }
  | { readonly kind: 'wrongMethod' }
  | { readonly kind: 'unknown' };

/** Matches a method and path against flat route tables, in order. */
export class Router {
  readonly #routes: Compiled[];

  constructor(routes: readonly Route[]) {
    this.#routes = routes.map(compile);
  }

  match(method: string, path: string): Match {
    let pathKnown = false;
    for (const candidate of this.#routes) {
      const found = candidate.pattern.exec(path);
      if (!found) continue;
      if (candidate.method !== method) {
        pathKnown = true;
        continue;
      }
      const params: Record<string, string> = {};
      for (const [index, name] of candidate.names.entries()) params[name] = decode(found[index + 1] ?? '');
      return { kind: 'found', handler: candidate.handler, params };
    }
    return { kind: pathKnown ? 'wrongMethod' : 'unknown' };
  }
}

function compile(entry: Route): Compiled {
  const names: string[] = [];
  const source = entry.path.replace(/\{(\w+)(?::([^}]+))?\}/g, (_all, name: string, expression?: string) => {
    names.push(name);
    return `(${expression ?? '[^/]+'})`;
  });
  return { method: entry.method, pattern: new RegExp(`^${source}$`), names, handler: entry.handler };
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
