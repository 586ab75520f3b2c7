import '@xterm/xterm/css/xterm.css';
import { FitAddon } from '@xterm/addon-fit';
import { SearchAddon } from '@xterm/addon-search';
import { WebLinksAddon } from '@xterm/addon-web-links';
import { type ITheme, Terminal } from '@xterm/xterm';
import { shallowReactive, shallowRef, watch } from 'vue';
import type { TerminalSize } from '../../../electron/contract/containers.ts';
import { AppError } from '../../../electron/rpc/client.ts';
import { link } from '../../link/link.ts';

const LIGHT: ITheme = {
  background: '#fbfcfd',
  foreground: '#1e293b',
  cursor: '#0f766e',
  cursorAccent: '#fbfcfd',
  selectionBackground: '#99f6e4',
  black: '#1e293b',
  red: '#c81e3a',
  green: '#15803d',
  yellow: '#a16207',
  blue: '#1d4ed8',
  magenta: '#a21caf',
  cyan: '#0e7490',
  white: '#64748b',
  brightBlack: '#475569',
  brightRed: '#be123c',
  brightGreen: '#166534',
  brightYellow: '#854d0e',
  brightBlue: '#1e40af',
  brightMagenta: '#86198f',
  brightCyan: '#155e75',
  brightWhite: '#334155',
};
const DARK: ITheme = {
  background: '#0b1219',
  foreground: '#dbe4ee',
  cursor: '#2dd4bf',
  cursorAccent: '#0b1219',
  selectionBackground: '#115e59',
  black: '#334155',
  red: '#fb7185',
  green: '#4ade80',
  yellow: '#facc15',
  blue: '#7aa2ff',
  magenta: '#e879f9',
  cyan: '#22d3ee',
  white: '#e2e8f0',
  brightBlack: '#7b8ba0',
  brightRed: '#fda4af',
  brightGreen: '#86efac',
  brightYellow: '#fde047',
  brightBlue: '#a5c0ff',
  brightMagenta: '#f0abfc',
  brightCyan: '#67e8f9',
  brightWhite: '#f8fafc',
};

/** A program on a terminal in a container, with the screen that shows it: it lives on while another page is shown. */
export class TerminalSession {
  readonly container: string;
  readonly number: number;
  readonly command: readonly string[];
  readonly state = shallowRef<'opening' | 'open' | 'ended'>('opening');
  readonly exitCode = shallowRef<number>();
  readonly problem = shallowRef('');
  readonly terminal: Terminal;
  readonly search = new SearchAddon();
  #fit = new FitAddon();
  #element = document.createElement('div');
  #end = new AbortController();
  #session: string | undefined;
  /** of the engine that the container is in */
  #client = link.client;
  #begun = false;
  #queue: Promise<unknown> = Promise.resolve();

  constructor(container: string, number: number, command: readonly string[]) {
    this.container = container;
    this.number = number;
    this.command = command;
    this.#element.style.height = '100%';
    this.terminal = new Terminal({
      fontFamily: 'JetBrains Mono Variable, ui-monospace, Menlo, Consolas, monospace',
      fontSize: 12.5,
      lineHeight: 1.25,
      scrollback: 10_000,
      cursorBlink: !matchMedia('(prefers-reduced-motion: reduce)').matches,
      minimumContrastRatio: 4.5,
      allowProposedApi: true,
      theme: document.documentElement.classList.contains('dark') ? DARK : LIGHT,
    });
    this.terminal.loadAddon(this.#fit);
    this.terminal.loadAddon(this.search);
    this.terminal.loadAddon(new WebLinksAddon((_event, url) => window.open(url, '_blank', 'noopener,noreferrer')));
    this.terminal.onData((text) => this.#send(text));
    this.terminal.onBinary((text) => this.#send(text));
    this.terminal.onResize(({ cols, rows }) => this.#resize({ columns: cols, rows }));
  }

  /** Puts the screen into the page. The program starts once it is known how large the screen is. */
  show(parent: HTMLElement): void {
    parent.replaceChildren(this.#element);
    if (!this.terminal.element) this.terminal.open(this.#element);
    this.fit();
    this.terminal.focus();
    if (!this.#begun) {
      this.#begun = true;
      void this.#run();
    }
  }

  fit(): void {
    if (this.#element.clientHeight > 0) this.#fit.fit();
  }

  theme(dark: boolean): void {
    this.terminal.options.theme = dark ? DARK : LIGHT;
  }

  close(): void {
    this.#end.abort();
    this.terminal.dispose();
  }

  async #run(): Promise<void> {
    const size = { columns: this.terminal.cols, rows: this.terminal.rows };
    try {
      const request = { command: [...this.command], size };
      for await (const news of this.#client.containers.terminal(this.container, request, this.#end.signal)) {
        if (news.kind === 'opened') {
          this.#session = news.session;
          this.state.value = 'open';
          // It may have been resized while it was being opened.
          if (this.terminal.cols !== size.columns || this.terminal.rows !== size.rows) {
            this.#resize({ columns: this.terminal.cols, rows: this.terminal.rows });
          }
        } else if (news.kind === 'output') await new Promise<void>((done) => this.terminal.write(news.data, done));
        else this.exitCode.value = news.exitCode;
      }
    } catch (error) {
      if (this.#end.signal.aborted) return;
      this.problem.value = error instanceof AppError ? error.message : String(error);
    }
    this.#session = undefined;
    this.state.value = 'ended';
  }

  /** One after the other: keys must arrive in the order in which they were pressed. */
  #send(text: string): void {
    const session = this.#session;
    if (!session) return;
    this.#queue = this.#queue.then(() => this.#client.containers.terminalInput(session, text)).catch(() => {});
  }

  #resize(size: TerminalSize): void {
    const session = this.#session;
    if (session) this.#client.containers.terminalResize(session, size).catch(() => {});
  }
}

/** All terminals of this window, by container. */
const sessions = shallowReactive(new Map<string, readonly TerminalSession[]>());
let next = 1;

// They end with the window's look at their engine.
watch(link.engine, () => {
  for (const session of [...sessions.values()].flat()) session.close();
  sessions.clear();
});

export function terminalsOf(container: string): readonly TerminalSession[] {
  return sessions.get(container) ?? [];
}

export function openTerminal(container: string, command: readonly string[]): TerminalSession {
  const session = new TerminalSession(container, next++, command);
  sessions.set(container, [...terminalsOf(container), session]);
  return session;
}

export function closeTerminal(session: TerminalSession): void {
  session.close();
  sessions.set(
    session.container,
    terminalsOf(session.container).filter((one) => one !== session),
  );
}
