import { familiarName, parseReference } from '../content/reference.ts';
import { type Filters, matchesLabels } from './filters.ts';

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

/** As dockerd's filter reads it: values of one name are alternatives, but every label must be there. */
function matches(event: EngineEvent, filters: Filters): boolean {
  const { ID: id, Attributes: attributes } = event.Actor;
  if (!matchesLabels(filters, attributes)) return false;
  for (const [name, wanted] of filters) {
    if (name === 'label') continue;
    const ok =
      name === 'event'
        ? matchesAction(event.Action, wanted)
        : wanted.some((value) => {
            switch (name) {
              case 'type':
                return event.Type === value;
              case 'scope':
                return event.scope === value;
              case 'image':
                return namesOfImage(event).includes(value);
              // Of whatever type: what begins like it is meant, by id or name.
              default:
                return id.startsWith(value) || attributes.name?.startsWith(value) === true;
            }
          });
    if (!ok) return false;
  }
  return true;
}

/** `exec_start` stands for `exec_start: sh -c …`; where one of these is asked for, all that is asked for are beginnings. */
function matchesAction(action: string, wanted: readonly string[]): boolean {
  const beginnings = wanted.some((value) => ['health_status', 'exec_create', 'exec_start'].includes(value));
  return wanted.some((value) => (beginnings ? action.startsWith(value) : action === value));
}

/** The image that an event is of or about, with and without its tag. */
function namesOfImage({ Type, Actor }: EngineEvent): string[] {
  const name = Actor.Attributes[Type === 'image' ? 'name' : 'image'];
  return [Actor.ID, name ?? ''].flatMap((text) => (text ? [text, withoutTag(text)] : []));
}

function withoutTag(text: string): string {
  try {
    return familiarName(parseReference(text));
  } catch {
    return text;
  }
}
