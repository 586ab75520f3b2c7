import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Random } from '../api/random.ts';
import { Web } from '../build/web.ts';
import { canRun, type Outcome, Testbed } from './testbed.ts';

const SEED = Number(process.env.SKIFF_FUZZ_SEED ?? 1);
const CLIENTS = 4;
const ACTIONS = Number(process.env.SKIFF_INTERLEAVINGS ?? 25);
const MARKS = ['one', 'two', 'three'];

/** What may be said to somebody whose image another client just took away, or needs. */
const EXPECTED =
  /no such image|unable to find image|image is being used|unable to (?:remove|delete)|must be forced|prune operation is already running|reference does not exist|not found/i;

describe.skipIf(!canRun)('images under many hands (skipped without root on Linux)', () => {
  const bed = new Testbed();
  const web = new Web();
  let repository: string;
  const nameOf = (mark: string) => `${repository}:${mark}`;

  beforeAll(async () => {
    await bed.start();
    repository = `${await web.startRegistry(bed, 5000)}/marked`;
    // `two` stands on `one`; all stand on the welcome image's layers.
    for (const [mark, base] of [
      ['one', 'skiff/welcome'],
      ['two', nameOf('one')],
      ['three', 'skiff/welcome'],
    ] as const) {
      await bed.ok('run', '--name', mark, base, 'sh', '-c', `echo ${mark} >/mark; seq 200000 >/${mark}`);
      await bed.ok('commit', mark, nameOf(mark));
      await bed.ok('rm', mark);
      await bed.ok('push', nameOf(mark));
    }
  });
  afterAll(async () => {
    await web[Symbol.asyncDispose]();
    await bed[Symbol.asyncDispose]();
  });

  test(`pull, run, build, load, commit and prune by ${CLIENTS} clients at once: nothing in use goes, nothing unused stays (seed ${SEED})`, async () => {
    await bed.ok('run', '-d', '--name', 'holder', nameOf('one'), 'sh', '-c', 'while :; do sleep 1; done');
    const surprises: string[] = [];
    const done = new Map<string, number>();

    const client = async (number: number): Promise<void> => {
      const random = new Random(SEED + number);
      for (let action = 0; action < ACTIONS; action++) {
        const mark = random.pick(MARKS);
        const image = nameOf(mark);
        const own = `own-${number}-${action}`;
        const marked = async (outcome: Promise<Outcome>): Promise<Outcome> => {
          const result = await outcome;
          if (result.code === 0 && result.stdout.trim() !== mark) surprises.push(`${image} said ${result.stdout}`);
          return result;
        };
        const steps: Record<string, () => Promise<Outcome>> = {
          pull: () => bed.docker(['pull', '-q', image]),
          run: () => marked(bed.docker(['run', '--rm', image, 'sh', '-c', `wc -l </${mark} >/dev/null && cat /mark`])),
          remove: () => bed.docker(['rmi', image]),
          force: () => bed.docker(['rmi', '-f', image]),
          prune: () => bed.docker(['image', 'prune', '-af']),
          tag: async () => {
            const tagged = await bed.docker(['tag', image, `${own}:1`]);
            return tagged.code === 0 ? bed.docker(['rmi', `${own}:1`]) : tagged;
          },
          load: async () => {
            const archive = `${bed.shared}/${own}.tar`;
            const saved = await bed.docker(['save', '-o', archive, image]);
            return saved.code === 0 ? bed.docker(['load', '-q', '-i', archive]) : saved;
          },
          build: () =>
            bed.docker(
              ['build', '-q', '-t', `${own}:1`, '-'],
              `FROM ${image}\nRUN grep -q ${mark} /mark && echo x >/x\n`,
            ),
          commit: async () => {
            const ran = await bed.docker(['run', '--name', own, image, 'sh', '-c', 'echo y >/y']);
            if (ran.code !== 0) {
              await bed.docker(['rm', '-f', own]);
              return ran;
            }
            const committed = await bed.docker(['commit', own, `${own}:1`]);
            await bed.docker(['rm', own]);
            return committed;
          },
        };
        const step = random.pick(Object.keys(steps));
        const { code, stderr } = await (steps[step] as () => Promise<Outcome>)();
        done.set(step, (done.get(step) ?? 0) + Number(code === 0));
        if (code !== 0 && !EXPECTED.test(stderr)) surprises.push(`${step} ${image}: ${code} ${stderr}`);
      }
    };
    await Promise.all(Array.from({ length: CLIENTS }, (_, number) => client(number)));
    console.log(`succeeded: ${[...done].map(([step, count]) => `${step} ${count}`).join(', ')}`);
    expect(surprises).toEqual([]);

    // Its image was forced away perhaps, its layers were not.
    expect(await bed.ok('exec', 'holder', 'sh', '-c', 'cat /mark; wc -l </one')).toMatch(/^one\s+200000$/);
    await bed.stop();
    expect(await bed.fsck('--deep')).toMatchObject({ code: 0 });

    await bed.start();
    await bed.ok('rm', '-f', 'holder');
    await bed.ok('system', 'prune', '-af');
    expect(await bed.ok('images', '-aq')).toBe('');
    const { body } = await bed.request('GET', '/system/df');
    expect(body).toMatchObject({ LayersSize: 0, Images: [], Containers: [], BuildCache: [] });
  }, 240_000);
});
