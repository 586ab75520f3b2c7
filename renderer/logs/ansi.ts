/**
 * Terminal text → pieces with classes. Only colours and weights are kept; every other control sequence is dropped. The
 * pieces are shown as text nodes, so whatever a log contains can't become markup.
 */
export interface Piece {
  text: string;
  /** classes of style.css */
  classes: string;
  /** `rgb(…)` for 256-colour and true-colour sequences */
  color: string | undefined;
}

interface Style {
  fg: number | undefined;
  rgb: string | undefined;
  flags: Set<'bold' | 'dim' | 'italic' | 'underline'>;
}

/**
 * CSI, OSC (to BEL or ST) and other two-character escapes. The OSC body is bounded: an unterminated one must not swallow a log.
 */
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what this is about
const ESCAPE = /\x1b(?:\[([0-?]*)[ -/]*([@-~])|\][^\x07\x1b]{0,2048}(?:\x07|\x1b\\)|[ -/]*[0-Z\\^-~])/g;
// biome-ignore lint/suspicious/noControlCharactersInRegex: as above
const OTHER_CONTROLS = /[\x00-\x08\x0b-\x1f\x7f-\x9f]/g;

/** Keeps the style from line to line, as a terminal does. One for each stream. */
export class AnsiParser {
  #style: Style = { fg: undefined, rgb: undefined, flags: new Set() };

  line(text: string): Piece[] {
    const pieces: Piece[] = [];
    let at = 0;
    const add = (raw: string) => {
      const clean = raw.replace(OTHER_CONTROLS, '');
      if (clean) pieces.push({ text: clean, ...this.#look() });
    };
    // A carriage return without newline redraws the line: what stays is what came last.
    const visible = text.replace(/\r+$/, '');
    const shown = visible.slice(visible.lastIndexOf('\r') + 1);
    for (const match of shown.matchAll(ESCAPE)) {
      add(shown.slice(at, match.index));
      at = match.index + match[0].length;
      if (match[2] === 'm') this.#select(match[1] ?? '');
    }
    add(shown.slice(at));
    return pieces;
  }

  #look(): Pick<Piece, 'classes' | 'color'> {
    const classes = [...this.#style.flags].map((flag) => `ansi-${flag}`);
    if (this.#style.fg !== undefined) classes.push(`ansi-fg-${this.#style.fg}`);
    return { classes: classes.join(' '), color: this.#style.rgb };
  }

  /** Select Graphic Rendition (ECMA-48 §8.3.117), the part that logs use. Backgrounds are left out: they ruin contrast. */
  #select(parameters: string): void {
    const codes = parameters.split(/[;:]/).map((code) => Number(code) || 0);
    const { flags } = this.#style;
    for (let n = 0; n < codes.length; n++) {
      const code = codes[n] ?? 0;
      if (code === 0) this.#style = { fg: undefined, rgb: undefined, flags: new Set() };
      else if (code === 1) this.#style.flags.add('bold');
      else if (code === 2) this.#style.flags.add('dim');
      else if (code === 3) this.#style.flags.add('italic');
      else if (code === 4) this.#style.flags.add('underline');
      else if (code === 22) {
        flags.delete('bold');
        flags.delete('dim');
      } else if (code === 23) flags.delete('italic');
      else if (code === 24) flags.delete('underline');
      else if ((code >= 30 && code <= 37) || (code >= 90 && code <= 97)) this.#foreground(code % 10);
      else if (code === 39) this.#foreground(undefined);
      else if (code === 38 || code === 48) {
        const [rgb, used] = extended(codes.slice(n + 1));
        if (code === 38) {
          this.#foreground(undefined);
          if (rgb !== undefined && rgb.length === 1) this.#style.fg = Number(rgb);
          else this.#style.rgb = rgb;
        }
        n += used;
      }
    }
  }

  #foreground(fg: number | undefined): void {
    this.#style.fg = fg;
    this.#style.rgb = undefined;
  }
}

/** `5;n` or `2;r;g;b` → a colour (or one digit for the eight named ones) and how many parameters it took. */
function extended([kind, a = 0, b = 0, c = 0]: number[]): [string | undefined, number] {
  const byte = (value: number) => Math.max(0, Math.min(255, value));
  if (kind === 2) return [`rgb(${byte(a)} ${byte(b)} ${byte(c)})`, 4];
  if (kind !== 5) return [undefined, 1];
  if (a < 16) return [String(a % 8), 2];
  if (a >= 232) return [`rgb(${grey(a)} ${grey(a)} ${grey(a)})`, 2];
  const level = (n: number) => (n === 0 ? 0 : 55 + n * 40);
  const cube = byte(a) - 16;
  return [`rgb(${level(Math.floor(cube / 36))} ${level(Math.floor(cube / 6) % 6)} ${level(cube % 6)})`, 2];
}

function grey(code: number): number {
  return 8 + (Math.min(code, 255) - 232) * 10;
}
