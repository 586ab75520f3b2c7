import type { Filters } from './filters.ts';

/** Kinds of things events are about (swagger: EventMessage.Type). */
export type EventType = 'container' | 'image' | 'network' | 'volume' | 'builder' | 'daemon' | 'plugin';

/** One event as GET /events sends it. */
export interface EngineEvent {
  /** Three fields of the API before 1.22 that clients still read; containers and images only. */
  status?: string;
  id?: string;
  from?: string;
  Type: EventType;
  Action: string;
  Actor: { ID: string; Attributes: Record<string, string> };
  scope: 'local';
  /** Seconds. */
  time: number;
  timeNano: number;
}

/** How many past events are kept for `since`, as dockerd keeps. */
const HISTORY = 256;

/** What happens in the engine, told to whoever listens. Publishing never waits for a listener. */
export class Events {
  readonly #history: EngineEvent[] = [];
  readonly #listeners = new Set<(event: EngineEvent) => void>();

  #published = 0;

  /** How many there were since the engine started. */
  get published(): number {
    return this.#published;
  }

  /** How many clients listen now. */
  get listeners(): number {
    return this.#listeners.size;
  }

  publish(type: EventType, action: string, id: string, attributes: Readonly<Record<string, string>> = {}): void {
    this.#published++;
    const now = Date.now();
    const event: EngineEvent = {
      Type: type,
      Action: action,
      Actor: { ID: id, Attributes: { ...attributes } },
      scope: 'local',
      time: Math.floor(now / 1000),
      timeNano: now * 1e6,
    };
    if (type === 'container' || type === 'image') {
      event.status = action;
      event.id = id;
      if (type === 'container' && attributes.image) event.from = attributes.image;
    }
    this.#history.push(event);
    if (this.#history.length > HISTORY) this.#history.shift();
    for (const listener of this.#listeners) listener(event);
  }

  /** Past events from `since` (ms) that match; then `listener` gets each new one until the returned function is called. */
  subscribe(filters: Filters, since: number | undefined, listener: (event: EngineEvent) => void): () => void {
    const matching = (event: EngineEvent): void => {
      if (matches(event, filters)) listener(event);
    };
    if (since !== undefined) {
      for (const event of this.#history) if (event.timeNano / 1e6 >= since) matching(event);
    }
    this.#listeners.add(matching);
    return () => this.#listeners.delete(matching);
  }
}

function matches(event: EngineEvent, filters: Filters): boolean {
  const attributes = event.Actor.Attributes;
  for (const [name, wanted] of filters) {
    const ok = wanted.some((value) => {
      switch (name) {
        case 'type':
          return event.Type === value;
        case 'event':
          return event.Action === value || event.Action.startsWith(`${value}:`);
        case 'scope':
          return event.scope === value;
        case 'label': {
          const at = value.indexOf('=');
          return at < 0 ? value in attributes : attributes[value.slice(0, at)] === value.slice(at + 1);
        }
        case 'image':
          return event.Type === 'image'
            ? event.Actor.ID === value || attributes.name === value || attributes.name?.split(':')[0] === value
            : attributes.image === value || attributes.image?.split(':')[0] === value;
        case 'container':
        case 'network':
        case 'volume':
        case 'daemon':
          return (
            (event.Type === name && (event.Actor.ID.startsWith(value) || attributes.name === value)) ||
            attributes[name]?.startsWith(value) === true
          );
        default:
          return true;
      }
    });
    if (!ok) return false;
  }
  return true;
}
