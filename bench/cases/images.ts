import type { Case } from '../measure.ts';
import { docker, type Peer, toNowhere } from '../peers.ts';

interface Archive {
  /** Of the image in it. */
  readonly name: string;
  readonly path: string;
  readonly words: string;
  readonly goals: { readonly load: number; readonly pull: number };
}

const forget = (peer: Peer, ...names: string[]) => void docker(peer, 'rmi', '-f', ...names);

/** Load, save, push and pull of the image in each archive. @param registry host:port that each peer reaches */
export function imageCases(archives: readonly Archive[], registry: string): Case[] {
  return archives.flatMap(({ name, path, words, goals }): Case[] => {
    const remote = `${registry}/${name}`;
    return [
      {
        name: `load ${words}`,
        goal: goals.load,
        rounds: 3,
        work: (peer) => docker(peer, 'load', '-q', '-i', path),
        tidy: (peer) => forget(peer, name),
      },
      {
        name: `save ${words}`,
        goal: 0.5,
        rounds: 3,
        before: (peer) => docker(peer, 'load', '-q', '-i', path),
        work: (peer) => toNowhere(peer, 'save', name),
        after: (peer) => forget(peer, name),
      },
      {
        name: `push ${words}`,
        goal: 0.3,
        rounds: 1,
        prepare(peer) {
          docker(peer, 'load', '-q', '-i', path);
          // A repository of its own: blobs that are there already would be no push.
          docker(peer, 'tag', name, `${remote}-${peer.pid}-${++pushes}:latest`);
        },
        work: (peer) => docker(peer, 'push', '-q', `${remote}-${peer.pid}-${pushes}`),
        tidy: (peer) => forget(peer, name, `${remote}-${peer.pid}-${pushes}`),
      },
      {
        name: `pull ${words}`,
        goal: goals.pull,
        rounds: 3,
        before(peer) {
          docker(peer, 'load', '-q', '-i', path);
          docker(peer, 'tag', name, remote);
          docker(peer, 'push', '-q', remote);
          forget(peer, name, remote);
        },
        work: (peer) => docker(peer, 'pull', '-q', remote),
        tidy: (peer) => forget(peer, remote),
      },
    ];
  });
}

let pushes = 0;
