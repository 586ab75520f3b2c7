import type { AppPort, ShellPort, ToApp, ToShell } from '../contract/protocol.ts';

/** Two ports joined in memory: for a shell that lives in the app's own process. Messages arrive in a later turn. */
export function createPipe(): { shell: ShellPort; app: AppPort } {
  const toApp = new Queue<ToApp>();
  const toShell = new Queue<ToShell>();
  const closeListeners: (() => void)[] = [];
  let closed = false;
  const close = () => {
    if (closed) return;
    closed = true;
    for (const listener of closeListeners) listener();
  };
  const onClose = (listener: () => void) => {
    if (closed) listener();
    else closeListeners.push(listener);
  };
  return {
    shell: { send: (message) => !closed && toApp.put(message), onMessage: (l) => toShell.read(l), onClose, close },
    app: { send: (message) => !closed && toShell.put(message), onMessage: (l) => toApp.read(l), onClose, close },
  };
}

class Queue<T> {
  #waiting: T[] = [];
  #listener: ((message: T) => void) | undefined;

  put(message: T): void {
    this.#waiting.push(message);
    queueMicrotask(() => this.#flush());
  }

  read(listener: (message: T) => void): void {
    this.#listener = listener;
    queueMicrotask(() => this.#flush());
  }

  #flush(): void {
    const listener = this.#listener;
    if (listener) for (const message of this.#waiting.splice(0)) listener(message);
  }
}
