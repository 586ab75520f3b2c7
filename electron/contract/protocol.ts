import type { WireError } from './errors.ts';

/**
 * The messages between a shell and the app, the same over Electron's IPC, a WebSocket and the app's own socket. `id` is
 * chosen by the asker and names one call or stream until `result`, `error` or `end`. `engine` is the id of the engine that
 * is asked; absent, it is Skiff's own. So an answer can only come from the engine that was meant.
 *
 *   asker  ── ask ──▶             asker  ── ask ──▶
 *          ◀── result | error            ◀── item … item        at most `credit` items are under way
 *                                        ── credit ──▶
 *                                        ◀── end | error
 *   at any time:  ── cancel ──▶   after which the answerer sends nothing more for this id
 */
export type ToApp =
  | { t: 'ask'; id: number; service: string; method: string; args: unknown[]; credit: number; engine?: string }
  | { t: 'credit'; id: number; items: number }
  | { t: 'cancel'; id: number };

export type ToShell =
  | { t: 'result'; id: number; value: unknown }
  | { t: 'item'; id: number; value: unknown }
  | { t: 'end'; id: number }
  | { t: 'error'; id: number; error: WireError };

/** One end of a connection that carries these messages in order. */
export interface Port<Out, In> {
  send(message: Out): void;
  onMessage(listener: (message: In) => void): void;
  /** called once, also when the connection is already gone */
  onClose(listener: () => void): void;
  close(): void;
}

export type ShellPort = Port<ToApp, ToShell>;
export type AppPort = Port<ToShell, ToApp>;

/** What Electron's preload puts on `window` (`skiff`), and all that it puts there. */
export interface PreloadBridge {
  send(message: ToApp): void;
  onMessage(listener: (message: ToShell) => void): void;
}
