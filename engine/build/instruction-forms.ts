import { commandLine, type Flags, type HealthOptions, type InstructionOf } from './instructions.ts';
import { splitWords } from './source.ts';

const STAGE_NAME = /^[a-z][a-z0-9-_.]*$/;
const UNITS: Record<string, number> = { ns: 1, us: 1e3, µs: 1e3, ms: 1e6, s: 1e9, m: 60e9, h: 3600e9 };

/** `image [AS name]`. */
export function parseFrom(rest: string, escapeChar: string): { image: string; name?: string } {
  const words = splitWords(rest, escapeChar);
  if (words.length !== 1 && words.length !== 3) throw new Error('FROM requires either one or three arguments');
  const [image = '', as, given] = words;
  if (as === undefined) return { image };
  const name = (given as string).toLowerCase();
  if (as.toUpperCase() !== 'AS') throw new Error('FROM requires either one or three arguments');
  if (!STAGE_NAME.test(name)) {
    throw new Error(
      `invalid name for build stage: ${JSON.stringify(given)}, name can't start with a number or contain symbols`,
    );
  }
  return { image, name };
}

export function parseHealthcheck(
  rest: string,
  flags: Flags,
): Pick<InstructionOf<'healthcheck'>, 'none' | 'command' | 'options'> {
  const [, word = '', tail = ''] = /^(\S+)\s*([\s\S]*)$/.exec(rest) ?? [];
  const kind = word.toUpperCase();
  const options: HealthOptions = {
    interval: duration(flags, 'interval'),
    timeout: duration(flags, 'timeout'),
    startPeriod: duration(flags, 'start-period'),
    startInterval: duration(flags, 'start-interval'),
    retries: retries(flags.text('retries')),
  };
  if (kind === 'NONE') {
    if (tail !== '') throw new Error('HEALTHCHECK NONE takes no arguments');
    return { none: true, command: { form: 'exec', args: [] }, options };
  }
  if (kind !== 'CMD') throw new Error(`Unknown type ${JSON.stringify(kind)} in HEALTHCHECK (try CMD)`);
  if (tail === '') throw new Error('Missing command after HEALTHCHECK CMD');
  return { none: false, command: commandLine(tail), options };
}

/** Nanoseconds of a flag; the runtime refuses less than a millisecond. */
function duration(flags: Flags, name: string): number {
  const text = flags.text(name);
  if (text === undefined) return 0;
  if (!/^(\d+(\.\d*)?(ns|us|µs|ms|s|m|h))+$/.test(text))
    throw new Error(`time: invalid duration ${JSON.stringify(text)}`);
  let total = 0;
  for (const [, value, unit] of text.matchAll(/(\d+(?:\.\d*)?)(ns|us|µs|ms|s|m|h)/g)) {
    total += Number(value) * (UNITS[unit as string] as number);
  }
  if (total !== 0 && total < 1e6) throw new Error(`Interval ${JSON.stringify(name)} cannot be less than 1ms`);
  return Math.round(total);
}

function retries(text: string | undefined): number {
  if (text === undefined || text === '') return 0;
  if (!/^-?\d+$/.test(text)) throw new Error(`strconv.ParseInt: parsing ${JSON.stringify(text)}: invalid syntax`);
  if (Number(text) < 0) throw new Error(`--retries cannot be negative (${text})`);
  return Number(text);
}
