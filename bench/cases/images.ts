import { execFileSync } from 'node:child_process';

import { bigImage } from '../big-image.ts';
import type { Case } from '../measure.ts';
import { docker, type Peer, toNowhere } from '../peers.ts';

interface Size {
  readonly layers: number;
  readonly words: string;
  readonly goals: { readonly load: number; readonly pull: number };
}

const SIZES: readonly Size[] = [
  { layers: 1, words: '135 MB', goals: { load: 0.5, pull: 0.5 } },
  { layers: 10, words: '135 MB in 10 layers', goals: { load: 0.4, pull: 0.4 } },
];

/** Rows about images, each round with one that neither engine has seen: removing thousands of files slows ext4 down for minutes. */
export function imageCases(scratch: string, registry: string): Case[] {
  return SIZES.flatMap((size) => casesOf(size, new Images(scratch, size.layers), registry));
}

/** Images of one size by row and round, made when first asked for. */
class Images {
  readonly #scratch: string;
  readonly #layers: number;
  readonly #made = new Map<string, Promise<string>>();

  constructor(scratch: string, layers: number) {
    this.#scratch = scratch;
    this.#layers = layers;
  }

  name(row: string, round: number): string {
    return `bench-${this.#layers}-${row}-${round}`;
  }

  archive(row: string, round: number): Promise<string> {
    const name = this.name(row, round);
    const seed = [...name].reduce((sum, char) => (sum * 31 + char.charCodeAt(0)) >>> 0, 7);
    const made = this.#made.get(name) ?? bigImage(this.#scratch, name, this.#layers, seed);
    this.#made.set(name, made);
    return made;
  }
}

function casesOf({ words, goals }: Size, images: Images, registry: string): Case[] {
  const load = async (peer: Peer, row: string, round: number) =>
    docker(peer, 'load', '-q', '-i', await images.archive(row, round));
  return [
    {
      name: `load ${words}`,
      goal: goals.load,
      rounds: 3,
      prepare: (_peer, round) => images.archive('load', round),
      work: (peer, round) => load(peer, 'load', round),
    },
    {
      name: `save ${words}`,
      goal: 0.5,
      rounds: 3,
      before: (peer) => load(peer, 'load', 0),
      work: (peer) => toNowhere(peer, 'save', images.name('load', 0)),
    },
    {
      name: `push ${words}`,
      goal: 0.3,
      rounds: 2,
      async prepare(peer, round) {
        await load(peer, 'push', round);
        docker(peer, 'tag', images.name('push', round), `${registry}/${images.name('push', round)}-${peer.pid}`);
      },
      work: (peer, round) => docker(peer, 'push', '-q', `${registry}/${images.name('push', round)}-${peer.pid}`),
    },
    {
      name: `pull ${words}`,
      goal: goals.pull,
      rounds: 3,
      async prepare(peer, round) {
        const archive = await images.archive('pull', round);
        const target = `docker://${registry}/${images.name('pull', round)}`;
        const skopeo = ['skopeo', 'copy', '-q', '--dest-tls-verify=false', `docker-archive:${archive}`, target];
        execFileSync('nsenter', [`--target=${peer.pid}`, '--net', ...skopeo]);
      },
      work: (peer, round) => docker(peer, 'pull', '-q', `${registry}/${images.name('pull', round)}`),
    },
  ];
}
