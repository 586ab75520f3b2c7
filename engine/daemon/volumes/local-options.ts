import { invalidParameter } from '../../errors.ts';
import type { VolumeSource } from '../../runtime/volume-mount.ts';

type Options = Readonly<Record<string, string>>;

const REQUIRED: readonly (readonly [string, readonly string[]])[] = [
  ['device', ['type']],
  ['type', ['device']],
  ['o', ['device', 'type']],
];

/** Options of the local driver, in the words of moby's. */
export function checkLocalOptions(name: string, options: Options): void {
  const bad = (reason: string) => invalidParameter(`create ${name}: ${reason}`);
  for (const option of Object.keys(options)) {
    if (!['type', 'o', 'device', 'size'].includes(option)) throw bad(`invalid option: ${JSON.stringify(option)}`);
  }
  if (options.size !== undefined) throw bad('quota size requested but no quota support');
  for (const [option, needed] of REQUIRED) {
    if (options[option] === undefined) continue;
    for (const other of needed) {
      if (options[other] === undefined) throw bad(`missing required option: ${JSON.stringify(other)}`);
    }
  }
}

/** What a volume with options is a mount of; undefined: a directory as any. */
export function volumeSource(options: Options): VolumeSource | undefined {
  const { type, device, o = '' } = options;
  return type === undefined || device === undefined ? undefined : { type, device, o };
}
