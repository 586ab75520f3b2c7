import type { Peer } from './peers.ts';

/**
 * One row of a table: `before` and `after` frame all rounds, `prepare` and `tidy` each one; only `work` is measured. Rounds count from
 * 0, which warms up.
 */
export interface Case {
  readonly name: string;
  /** Against dockerd, as docs/benchmarks say. */
  readonly goal?: number;
  /** Fewer rounds for what takes seconds. */
  readonly rounds?: number;
  before?(peer: Peer): unknown;
  prepare?(peer: Peer, round: number): unknown;
  work(peer: Peer, round: number): unknown;
  tidy?(peer: Peer, round: number): unknown;
  after?(peer: Peer): unknown;
}

export const median = (values: readonly number[]): number =>
  [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;

/** Prints one row: medians in ms and the first peer's ratio to the second. Turn by turn, so that what disturbs one disturbs both. */
export async function measure(one: Case, peers: readonly Peer[], rounds: number): Promise<void> {
  const times = peers.map((): number[] => []);
  for (const peer of peers) await one.before?.(peer);
  for (let round = 0; round <= Math.min(rounds, one.rounds ?? rounds); round++) {
    for (const [index, peer] of peers.entries()) {
      await one.prepare?.(peer, round);
      const start = performance.now();
      await one.work(peer, round);
      if (round > 0) times[index]!.push(performance.now() - start);
      await one.tidy?.(peer, round);
    }
  }
  for (const peer of peers) await one.after?.(peer);
  printRow(one.name, peers, times.map(median), 'ms', one.goal);
}

export function printRow(
  name: string,
  peers: readonly Peer[],
  values: readonly number[],
  unit: string,
  goal: number | undefined,
): void {
  const columns = peers.map(
    (peer, index) => `${peer.name} ${values[index]!.toFixed(values[index]! < 10 ? 1 : 0).padStart(6)} ${unit}`,
  );
  const [own = 0, other] = values;
  const ratio = other ? own / other : undefined;
  const verdict =
    ratio === undefined
      ? ''
      : `   ratio ${ratio.toFixed(2)}${goal === undefined ? '' : ` (goal ${goal}${ratio > goal ? ', missed' : ''})`}`;
  console.log(`${name.padEnd(34)} ${columns.join('   ')}${verdict}`);
}
