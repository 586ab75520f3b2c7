import { invalidParameter } from '../errors.ts';

/** Filters of list, prune and events operations: name → accepted values (any of them; labels: all of them). */
export type Filters = ReadonlyMap<string, readonly string[]>;

/** Refuses filters an operation doesn't know, in Docker's words. */
export function checkFilters(filters: Filters, known: readonly string[]): void {
  for (const name of filters.keys()) {
    if (!known.includes(name)) throw invalidParameter(`invalid filter '${name}'`);
  }
}

/** `label=key` or `label=key=value`: every one given must match. */
export function matchesLabels(filters: Filters, labels: Readonly<Record<string, string>>, name = 'label'): boolean {
  return (filters.get(name) ?? []).every((wanted) => {
    const at = wanted.indexOf('=');
    return at < 0 ? wanted in labels : labels[wanted.slice(0, at)] === wanted.slice(at + 1);
  });
}

/** Filters of the prune operations of containers, networks and volumes: `label` wants, `label!` spares (moby: matchLabels). */
export function matchesPruneLabels(filters: Filters, labels: Readonly<Record<string, string>>): boolean {
  if (!matchesLabels(filters, labels)) return false;
  return !filters.has('label!') || !matchesLabels(filters, labels, 'label!');
}

/** A filter that takes one boolean, as `dangling=true`. */
export function booleanFilter(filters: Filters, name: string): boolean | undefined {
  const values = filters.get(name);
  if (!values || values.length === 0) return undefined;
  if (values.every((value) => value === 'true' || value === '1')) return true;
  if (values.every((value) => value === 'false' || value === '0')) return false;
  throw invalidParameter(`invalid filter '${name}=[${values.join(' ')}]'`);
}
