import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect } from 'vitest';
import { eventually, RealApp } from './app.ts';
import { chapter } from './chapter.ts';
import { canBoot } from './support.ts';

const CUTS = Number(process.env.SKIFF_POWER_CUTS ?? 2);

/** A story with few boots, in order. */
describe.skipIf(!canBoot)('the machine over days (skipped without QEMU)', { timeout: 400_000, retry: 0 }, () => {
  let app: RealApp;
  const names = async () =>
    (await app.docker('ps', '-a', '--format', '{{.Names}}')).stdout.split('\n').filter(Boolean).sort();
  const then = (name: string, body: () => Promise<void>) => chapter(name, () => app, body);

  beforeAll(async () => {
    app = new RealApp({ idleStopMinutes: 1 });
    const started = await app.skiff('start', '--json');
    if (started.code !== 0) throw new Error(`${started.stdout}${started.stderr}${app.logs()}`);
    expect(JSON.parse(started.stdout)).toMatchObject({ running: true });
  }, 400_000);

  afterAll(() => app?.close(), 120_000);

  then('a power-off gives containers their stop signal and their time', async () => {
    const polite = "trap 'sleep 2; echo bye >/v/said; exit 7' USR1; echo ready; while :; do sleep 0.2; done";
    const options = ['--name', 'polite', '--stop-signal', 'USR1', '--stop-timeout', '60', '-v', 'words:/v'];
    expect(await app.docker('run', '-d', ...options, 'skiff/welcome', 'sh', '-c', polite)).toMatchObject({ code: 0 });
    await eventually(
      async () => (await app.docker('logs', 'polite')).stdout,
      (said) => said.includes('ready'),
    );
    const zoneFiles = ['-v', '/etc/localtime:/etc/localtime:ro', '-v', '/etc/timezone:/etc/timezone:ro'];
    const zone = await app.docker(
      'run',
      '--rm',
      ...zoneFiles,
      'skiff/welcome',
      'sh',
      '-c',
      'date +%z; cat /etc/timezone',
    );
    expect(zone).toMatchObject({ code: 0, stdout: expect.stringMatching(/^\+0530\nAsia\/(Kolkata|Calcutta)\n$/) });
    await (await app.client()).machine.stop();
    expect(await app.machineState()).toBe('stopped');
  });

  then('a snapshot of all that is made in a moment; only while the machine is stopped', async () => {
    expect(await app.skiff('snapshot', 'create', 'one')).toMatchObject({ code: 0 });
    expect(await app.skiff('snapshot', 'create', 'one')).toMatchObject({ code: 1 });
    const rows = JSON.parse((await app.skiff('snapshot', 'list', '--json')).stdout);
    expect(rows).toMatchObject([{ name: 'one', created: expect.any(Number) }]);
  });

  then('the next docker command wakes the machine, and finds what the last power-off left', async () => {
    expect(await names()).toEqual(['polite']);
    expect((await app.docker('inspect', '-f', '{{.State.ExitCode}}', 'polite')).stdout).toBe('7\n');
    const said = await app.docker('run', '--rm', '-v', 'words:/v', 'skiff/welcome', 'cat', '/v/said');
    expect(said.stdout).toBe('bye\n');
    expect(await app.docker('create', '--name', 'later', 'skiff/welcome')).toMatchObject({ code: 0 });
    expect(await app.skiff('snapshot', 'restore', 'one')).toMatchObject({ code: 1 });
  });

  then('a machine that nobody uses costs next to nothing, and stops after the minutes of the setting', async () => {
    const cpuSeconds = () => {
      const stat = readFileSync(`/proc/${app.qemuPid}/stat`, 'latin1');
      const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      return (Number(fields[11]) + Number(fields[12])) / 100;
    };
    await sleep(5_000); // what the last command began is over
    const begin = { at: Date.now(), cpu: cpuSeconds() };
    await sleep(30_000);
    const percent = ((cpuSeconds() - begin.cpu) / (Date.now() - begin.at)) * 100_000;
    console.log(`an idle machine uses ${percent.toFixed(1)} % of one CPU`);
    expect(percent).toBeLessThan(60);
    await eventually(
      () => app.machineState(),
      (state) => state === 'stopped',
      240_000,
    );
    expect(await app.skiff('config', 'set', 'idleStopMinutes', '0')).toMatchObject({ code: 0 });
  });

  then('a restored snapshot is what was then', async () => {
    expect(await app.skiff('snapshot', 'restore', 'one')).toMatchObject({ code: 0 });
    expect(await app.skiff('snapshot', 'delete', 'one')).toMatchObject({ code: 0 });
    expect(await names()).toEqual(['polite']);
  });

  then(`${CUTS} power cuts in the middle of work lose nothing that was acknowledged`, async () => {
    const kept = { volumes: new Set<string>(), containers: new Set<string>(), images: new Set<string>() };
    const written = new Set<string>();
    for (let round = 1; round <= CUTS; round++) {
      let cut = false;
      const acknowledged = async (into: Set<string>, name: string, ...command: string[]) => {
        if ((await app.docker(...command)).code === 0 && !cut) into.add(name);
      };
      const work = async () => {
        for (let n = 0; !cut; n++) {
          const name = `r${round}n${n}`;
          await acknowledged(kept.volumes, name, 'volume', 'create', name);
          await acknowledged(kept.containers, name, 'create', '--name', name, 'skiff/welcome');
          await acknowledged(kept.images, `cut:${name}`, 'commit', name, `cut:${name}`);
          // Away and back, so that there is a load to be cut off as well.
          const archive = join(app.home, 'cut.tar');
          if ((await app.docker('save', '-o', archive, `cut:${name}`)).code === 0) {
            kept.images.delete(`cut:${name}`);
            await app.docker('rmi', `cut:${name}`);
            await acknowledged(kept.images, `cut:${name}`, 'load', '-q', '-i', archive);
          }
          const write = `echo ${name} >/v/${name}; sync`;
          await acknowledged(written, name, 'run', '--rm', '-v', 'words:/v', 'skiff/welcome', 'sh', '-c', write);
        }
      };
      const working = work();
      const before = kept.containers.size;
      await eventually(
        () => kept.containers.size - before,
        (count) => count >= 2 + round,
      );
      cut = true;
      process.kill(app.qemuPid, 'SIGKILL');
      await working;

      expect(await app.docker('version')).toMatchObject({ code: 0 });
      const all = await names();
      const volumes = (await app.docker('volume', 'ls', '-q')).stdout.split('\n');
      const images = (await app.docker('images', '--format', '{{.Repository}}:{{.Tag}}')).stdout.split('\n');
      expect(all).toEqual(expect.arrayContaining([...kept.containers]));
      expect(volumes).toEqual(expect.arrayContaining([...kept.volumes]));
      expect(images).toEqual(expect.arrayContaining([...kept.images]));
      const list = await app.docker('run', '--rm', '-v', 'words:/v', 'skiff/welcome', 'ls', '/v');
      expect(list.stdout.split('\n')).toEqual(expect.arrayContaining([...written]));
      const last = [...kept.images].at(-1);
      if (last) expect(await app.docker('run', '--rm', last, 'echo', 'ok')).toMatchObject({ code: 0, stdout: 'ok\n' });
      expect(readFileSync(join(app.home, 'machine', 'console.log'), 'utf8')).not.toMatch(/INCONSISTENCY|EXT4-fs error/);
      expect(readFileSync(join(app.home, 'machine', 'engine.log'), 'utf8')).not.toMatch(/ is missing/);
    }
    console.log(`kept: ${kept.containers.size} containers, ${kept.volumes.size} volumes, ${kept.images.size} images`);
  });
});
