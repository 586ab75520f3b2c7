/**
 * One line of the JSON streams of pull, push, load and import, as the docker CLI reads them (swagger: CreateImageInfo).
 */
export interface ProgressLine {
  readonly id?: string;
  readonly status?: string;
  readonly progressDetail?: { readonly current?: number; readonly total?: number; readonly units?: string };
  /** The bar in text, for clients that don't draw their own. */
  readonly progress?: string;
  readonly stream?: string;
  readonly aux?: unknown;
  readonly error?: string;
  readonly errorDetail?: { readonly message: string; readonly code?: number };
}

export type Progress = (line: ProgressLine) => void;

const EVERY_MS = 100;

/** Lines about one layer, no more than ten a second, the last one always. */
export class LayerProgress {
  readonly #id: string;
  readonly #send: Progress;
  #status = '';
  #sent = 0;

  constructor(id: string, send: Progress) {
    this.#id = id;
    this.#send = send;
  }

  /** A line without numbers. Repeated ones are sent once. */
  say(status: string): void {
    if (status === this.#status) return;
    this.#status = status;
    this.#sent = 0;
    this.#send({ status, progressDetail: {}, id: this.#id });
  }

  bytes(status: string, current: number, total: number | undefined): void {
    const now = performance.now();
    if (status === this.#status && now - this.#sent < EVERY_MS && current !== total) return;
    this.#status = status;
    this.#sent = now;
    const detail = total === undefined ? { current } : { current, total };
    this.#send({ status, progressDetail: detail, progress: bar(current, total), id: this.#id });
  }
}

/** The bar that jsonmessage draws at a width of 110 columns. */
function bar(current: number, total: number | undefined): string {
  if (!total || total <= 0) return `${humanSize(current).padStart(8)}`;
  const filled = Math.min(50, Math.floor((current / total) * 100) / 2) | 0;
  const drawn = filled >= 50 ? '='.repeat(50) : `${'='.repeat(filled)}>${' '.repeat(Math.max(0, 50 - filled - 1))}`;
  return `[${drawn}]  ${humanSize(current).padStart(8)}/${humanSize(total)}`;
}

/** units.HumanSize: four significant digits, decimal units. */
export function humanSize(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'];
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${Number(value.toPrecision(4))}${units[unit]}`;
}
