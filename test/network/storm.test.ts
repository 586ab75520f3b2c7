import { execFileSync } from 'node:child_process';
import { setTimeout as delay } from 'node:timers/promises';

import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { canRun, Testbed } from '../engine/testbed.ts';

const IMAGE = 'skiff/welcome';

/** SKIFF_STORM=full: as many as the engine has to bear; else a small storm of the same kind. */
const FULL = process.env.SKIFF_STORM === 'full';
const NETWORKS = FULL ? 100 : 12;
const CONTAINERS = FULL ? 20 : 5;
const KILLS = FULL ? 25 : 4;

describe.skipIf(!canRun)('networks in a storm (skipped without root on Linux)', () => {
  let bed: Testbed;

  beforeAll(async () => {
    bed = new Testbed();
    await bed.start();
  });
  afterAll(() => bed[Symbol.asyncDispose]());

  const inBed = (...command: string[]) =>
    execFileSync('nsenter', ['-t', String(bed.pid), '-n', '-m', ...command], { encoding: 'utf8' });
  const links = () =>
    inBed('ip', '-o', 'link')
      .split('\n')
      .flatMap((line) => /^\d+: ([^:@]+)/.exec(line)?.[1] ?? [])
      .filter((name) => /^(veth|br-)/.test(name));

  test(
    `${NETWORKS} networks, ${CONTAINERS} containers, the engine killed ${KILLS} times: nothing leaks and no address is given twice`,
    async () => {
      const names = Array.from({ length: NETWORKS }, (_unused, n) => `storm${n}`);
      const containers = Array.from({ length: CONTAINERS }, (_unused, n) => `c${n}`);
      for (const [n, name] of names.entries()) {
        await bed.ok('network', 'create', '--subnet', `10.${100 + Math.floor(n / 250)}.${n % 250}.0/24`, name);
      }
      for (const name of containers) {
        await bed.ok('run', '-d', '--stop-signal', 'KILL', '--name', name, IMAGE, 'sleep', '100000');
      }
      let over = false;
      const pick = <T>(list: readonly T[]): T => list[Math.floor(Math.random() * list.length)]!;
      /** What fails because the engine is just dead, or because it is so already, is part of the storm. */
      const worker = async (): Promise<void> => {
        while (!over) {
          const [network, container] = [pick(names), pick(containers)];
          const roll = Math.random();
          const { code } = await bed.docker(
            roll < 0.45
              ? ['network', 'connect', network, container]
              : roll < 0.85
                ? ['network', 'disconnect', network, container]
                : roll < 0.95
                  ? ['run', '--rm', '-p', '80', '--network', network, IMAGE, 'true']
                  : ['restart', '-t', '0', container],
          );
          if (code !== 0) await delay(20);
        }
      };
      const workers = Array.from({ length: 3 }, worker);
      for (let kill = 0; kill < KILLS; kill++) {
        await delay(300 + Math.random() * 1200);
        await bed.kill();
        await bed.start();
      }
      over = true;
      await Promise.all(workers);
      // One more death in the quiet: what is there now must be what the records say.
      await bed.kill();
      await bed.start();

      const seen = new Map<string, string>();
      let endpoints = 0;
      for (const id of (await bed.ok('ps', '-q', '--no-trunc')).split('\n').filter(Boolean)) {
        const networks = JSON.parse(await bed.ok('inspect', '-f', '{{json .NetworkSettings.Networks}}', id)) as Record<
          string,
          { IPAddress: string }
        >;
        const inside = await bed.ok('exec', id, 'ip', '-o', '-4', 'addr');
        const interfaces = inside.split('\n').filter((line) => /: (eth)\d+/.test(line));
        expect(interfaces, `interfaces of ${id}`).toHaveLength(Object.keys(networks).length);
        for (const [name, { IPAddress }] of Object.entries(networks)) {
          expect(inside, `${id} on ${name}`).toContain(`inet ${IPAddress}/`);
          expect(seen.get(IPAddress), `${IPAddress} is ${id}'s and another's`).toBeUndefined();
          seen.set(IPAddress, id);
          endpoints++;
        }
      }
      const found = links();
      expect(found.filter((name) => name.startsWith('veth'))).toHaveLength(endpoints);
      expect(found.filter((name) => name.startsWith('br-'))).toHaveLength(NETWORKS);

      for (const id of (await bed.ok('ps', '-aq')).split('\n').filter(Boolean)) await bed.ok('rm', '-f', id);
      await bed.ok('network', 'prune', '-f');
      expect(links()).toEqual([]);
      expect(inBed('nft', 'list', 'ruleset')).not.toMatch(/br-|: \d+\.\d+\.\d+\.\d+ \. /);
      expect(inBed('cat', '/proc/self/mountinfo')).not.toMatch(/\/netns\/|\/rootfs /);
    },
    FULL ? 1_200_000 : 120_000,
  );
});
