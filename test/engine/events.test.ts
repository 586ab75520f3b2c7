import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import type { Socket } from 'node:net';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { REGISTRY, REGISTRY_PORT, Web } from '../build/web.ts';
import { makePlugin } from './sample-plugin.ts';
import { canRun, Testbed } from './testbed.ts';

const I = 'skiff/welcome';

interface Event {
  readonly Type: string;
  readonly Action: string;
  readonly Actor: { readonly ID: string; readonly Attributes: Readonly<Record<string, string>> };
  readonly status?: string;
  readonly id?: string;
  readonly from?: string;
}

/** One thing that is done, and every event of it, each as `type action id attributes`; sorted, as some happen at once. */
interface Row {
  readonly does: string;
  readonly by: (bed: Testbed, folder: string) => Promise<unknown>;
  readonly events: readonly string[];
  /** Of what happens, only this: the rest is in other rows. */
  readonly only?: RegExp;
}

/** `docker` once for each line. */
const cli =
  (...lines: readonly string[]) =>
  async (bed: Testbed): Promise<void> => {
    for (const line of lines) await bed.ok(...line.split(' '));
  };

const BRIDGE = 'container=ID name=bridge type=bridge';
const c1 = `image=${I} l=v name=c1`;
const plain = (name: string) => `image=${I} name=${name}`;

const TABLE: readonly Row[] = [
  {
    does: 'a container is created and started',
    by: cli(`create --name c1 --label l=v --stop-signal KILL ${I} sleep 1000`, 'start c1'),
    events: [`container create ID ${c1}`, `container start ID ${c1}`, `network connect ID ${BRIDGE}`],
  },
  {
    does: 'a command runs in it',
    by: (bed) => bed.docker(['exec', 'c1', 'sh', '-c', 'exit 3']),
    events: [
      `container exec_create: sh -c exit 3 ID execID=ID ${c1}`,
      `container exec_die ID execID=ID exitCode=3 ${c1}`,
      `container exec_start: sh -c exit 3 ID execID=ID ${c1}`,
    ],
  },
  { does: 'its processes are listed', by: cli('top c1'), events: [`container top ID ${c1}`] },
  {
    does: 'its terminal is resized',
    by: (bed) => bed.request('POST', '/containers/c1/resize?h=20&w=80'),
    events: [`container resize ID height=20 ${c1} width=80`],
  },
  {
    does: 'files are copied out of it and into it',
    by: async (bed, folder) => {
      await bed.ok('cp', 'c1:/etc/passwd', join(folder, 'passwd'));
      await bed.ok('cp', join(folder, 'passwd'), 'c1:/tmp/passwd');
    },
    events: [`container archive-path ID ${c1}`, `container extract-to-dir ID ${c1}`],
  },
  {
    does: 'it is exported and committed',
    by: async (bed, folder) => {
      await bed.ok('export', '-o', join(folder, 'c1.tar'), 'c1');
      await bed.ok('commit', '--pause=false', '-m', 'words', 'c1', 'committed:1');
    },
    events: [
      `container commit ID comment=words image=${I} imageID=DIGEST imageRef=committed:1 l=v name=c1`,
      `container export ID ${c1}`,
      'image tag DIGEST l=v name=committed:1',
    ],
  },
  { does: 'its limits are changed', by: cli('update --pids-limit 100 c1'), events: [`container update ID ${c1}`] },
  {
    does: 'it is renamed',
    by: cli('rename c1 c2', 'rename c2 c1'),
    events: [`container rename ID image=${I} l=v name=c2 oldName=/c1`, `container rename ID ${c1} oldName=/c2`],
  },
  {
    does: 'it is paused and goes on',
    by: cli('pause c1', 'unpause c1'),
    events: [`container pause ID ${c1}`, `container unpause ID ${c1}`],
  },
  {
    does: 'it is sent a signal that it ignores',
    by: cli('kill -s WINCH c1'),
    events: [`container kill ID ${c1} signal=28`],
  },
  {
    does: 'it is restarted',
    by: cli('restart c1'),
    events: [
      `container die ID execDuration=N exitCode=137 ${c1}`,
      `container kill ID ${c1} signal=9`,
      `container restart ID ${c1}`,
      `container start ID ${c1}`,
      `container stop ID ${c1}`,
      `network connect ID ${BRIDGE}`,
      `network disconnect ID ${BRIDGE}`,
    ],
  },
  {
    does: 'it is stopped and removed',
    by: cli('stop c1', 'rm c1'),
    events: [
      `container destroy ID ${c1}`,
      `container die ID execDuration=N exitCode=137 ${c1}`,
      `container kill ID ${c1} signal=9`,
      `container stop ID ${c1}`,
      `network disconnect ID ${BRIDGE}`,
    ],
  },
  {
    does: 'one is removed as it runs',
    by: cli(`run -d --name forced --network none ${I} sleep 1000`, 'rm -f forced'),
    events: [
      `container create ID ${plain('forced')}`,
      `container destroy ID ${plain('forced')}`,
      `container die ID execDuration=N exitCode=137 ${plain('forced')}`,
      `container kill ID ${plain('forced')} signal=9`,
      `container start ID ${plain('forced')}`,
      'network connect ID container=ID name=none type=null',
      'network disconnect ID container=ID name=none type=null',
    ],
  },
  {
    does: 'one runs in the foreground with the network of the machine, and removes itself',
    by: cli(`run --rm --name once --network host ${I} true`),
    events: [
      `container attach ID ${plain('once')}`,
      `container create ID ${plain('once')}`,
      `container destroy ID ${plain('once')}`,
      `container die ID execDuration=N exitCode=0 ${plain('once')}`,
      `container start ID ${plain('once')}`,
      'network connect ID container=ID name=host type=host',
      'network disconnect ID container=ID name=host type=host',
    ],
  },
  {
    does: 'somebody detaches from a terminal',
    by: async (bed) => {
      await bed.ok('run', '-dit', '--name', 'left', '--network', 'none', I, 'sh', '-c', 'echo ready; exec sleep 1000');
      // The docker CLI knows its detach keys itself and just goes: the engine is told by other clients.
      const path = '/containers/left/attach?stream=1&stdin=1&stdout=1&detachKeys=a';
      const headers = { Connection: 'Upgrade', Upgrade: 'tcp' };
      const call = request({ socketPath: bed.socket, method: 'POST', path, headers });
      call.end();
      const [, socket] = (await once(call, 'upgrade')) as [unknown, Socket];
      socket.resume().write('a');
      await once(socket, 'close');
      await bed.ok('rm', '-f', 'left');
    },
    events: [
      `container attach ID ${plain('left')}`,
      `container create ID ${plain('left')}`,
      `container destroy ID ${plain('left')}`,
      `container detach ID ${plain('left')}`,
      `container die ID execDuration=N exitCode=137 ${plain('left')}`,
      `container kill ID ${plain('left')} signal=9`,
      `container start ID ${plain('left')}`,
      'network connect ID container=ID name=none type=null',
      'network disconnect ID container=ID name=none type=null',
    ],
  },
  {
    does: 'one has no memory left',
    by: (bed) =>
      bed.docker(
        ['run', '--rm', '--name', 'hungry', '-m', '16m', '--memory-swap', '16m', I, 'sh', '-c'].concat(
          'x=$(head -c 100000000 /dev/zero | tr "\\0" x)',
        ),
      ),
    only: /oom|die/,
    events: [`container oom ID ${plain('hungry')}`, `container die ID execDuration=N exitCode=137 ${plain('hungry')}`],
  },
  {
    // Two failures: the end of the container may well be one.
    does: 'health checks tell of each change',
    by: async (bed) => {
      const check = [
        '--health-cmd',
        'test -e /ill && exit 1; exit 0',
        '--health-interval',
        '200ms',
        '--health-retries',
        '2',
      ];
      await bed.ok('run', '-d', '--name', 'sick', '--network', 'none', ...check, I, 'sleep', '1000');
      for (const [status, command] of [
        ['healthy', 'touch'],
        ['unhealthy', 'rm'],
        ['healthy', 'true'],
      ] as const) {
        const shows = () => bed.ok('inspect', '-f', '{{.State.Health.Status}}', 'sick');
        await expect.poll(shows, { timeout: 15_000 }).toBe(status);
        await bed.ok('exec', 'sick', command, '/ill');
      }
      await bed.ok('rm', '-f', 'sick');
    },
    only: /health_status/,
    events: [
      `container health_status: healthy ID ${plain('sick')}`,
      `container health_status: healthy ID ${plain('sick')}`,
      `container health_status: unhealthy ID ${plain('sick')}`,
    ],
  },
  {
    does: 'volumes are made, mounted, unmounted, removed and pruned',
    by: cli(
      'volume create --label a=b things',
      `run --rm --name user --network none -v things:/t:ro -v /own ${I} true`,
      'volume rm things',
      'volume create unused',
      'volume prune -af',
    ),
    only: /^volume/,
    events: [
      'volume create things driver=local',
      'volume create ID driver=local',
      'volume create unused driver=local',
      'volume destroy things driver=local',
      'volume destroy ID driver=local',
      'volume destroy unused driver=local',
      'volume mount things container=ID destination=/t driver=local propagation= read/write=false',
      'volume mount ID container=ID destination=/own driver=local propagation= read/write=true',
      'volume prune  reclaimed=N',
      'volume unmount things container=ID driver=local',
      'volume unmount ID container=ID driver=local',
    ],
  },
  {
    does: 'networks are made, joined, left, removed and pruned',
    by: cli(
      'network create --label a=b mine',
      `run -d --name member --network mine --stop-signal KILL ${I} sleep 1000`,
      'network connect bridge member',
      'network disconnect bridge member',
      'rm -f member',
      'network rm mine',
      'network create unused',
      'network prune -f',
    ),
    only: /^network/,
    events: [
      'network create ID name=mine type=bridge',
      'network connect ID container=ID name=mine type=bridge',
      `network connect ID ${BRIDGE}`,
      `network disconnect ID ${BRIDGE}`,
      'network disconnect ID container=ID name=mine type=bridge',
      'network destroy ID name=mine type=bridge',
      'network create ID name=unused type=bridge',
      'network destroy ID name=unused type=bridge',
      'network prune  reclaimed=N',
    ],
  },
  {
    does: 'stopped containers are pruned',
    by: cli(`create --name idle ${I}`, 'container prune -f'),
    only: /idle|prune/,
    events: [
      `container create ID ${plain('idle')}`,
      `container destroy ID ${plain('idle')}`,
      'container prune  reclaimed=N',
    ],
  },
  {
    does: 'images are tagged, saved, loaded, untagged, imported and deleted',
    by: async (bed, folder) => {
      await cli('tag committed:1 tagged:1', `save -o ${join(folder, 'saved.tar')} tagged:1`, 'rmi tagged:1')(bed);
      await bed.ok('load', '-i', join(folder, 'saved.tar'));
      await cli(
        `import ${join(folder, 'c1.tar')} imported:1`,
        'rmi imported:1',
        'rmi tagged:1',
        'rmi committed:1',
      )(bed);
    },
    events: [
      'image delete DIGEST name=DIGEST',
      'image delete DIGEST name=DIGEST',
      'image import DIGEST name=DIGEST',
      'image load DIGEST l=v name=DIGEST',
      'image save DIGEST l=v name=DIGEST',
      'image tag DIGEST l=v name=tagged:1',
      'image tag DIGEST name=imported:1',
      'image untag DIGEST l=v name=DIGEST',
      'image untag DIGEST l=v name=DIGEST',
      'image untag DIGEST l=v name=DIGEST',
      'image untag DIGEST name=DIGEST',
    ],
  },
  {
    does: 'images are pushed and pulled',
    by: cli(`tag ${I} ${REGISTRY}/w:1`, `push -q ${REGISTRY}/w:1`, `pull -q ${REGISTRY}/w:1`, `rmi ${REGISTRY}/w:1`),
    events: [
      `image pull ${REGISTRY}/w:1 name=${REGISTRY}/w`,
      `image push ${REGISTRY}/w:1 name=${REGISTRY}/w`,
      `image tag DIGEST name=${REGISTRY}/w:1`,
      'image untag DIGEST name=DIGEST',
    ],
  },
  {
    does: 'an image is built; images and the build cache are pruned',
    by: async (bed, folder) => {
      mkdirSync(join(folder, 'context'));
      writeFileSync(join(folder, 'context/Dockerfile'), `FROM ${I}\nLABEL x=y\nRUN echo > /a\n`);
      await cli(
        `build -q -t built:1 ${join(folder, 'context')}`,
        'image prune -af --filter label=x=y',
        'builder prune -af',
      )(bed);
    },
    events: [
      'builder prune  reclaimed=N',
      'image create DIGEST name=DIGEST x=y',
      'image delete DIGEST name=DIGEST',
      'image prune  reclaimed=N',
      'image tag DIGEST name=built:1 x=y',
      'image untag DIGEST name=DIGEST x=y',
    ],
  },
  {
    does: 'the configuration is read again',
    by: async (bed) => {
      bed.configure({ debug: true, labels: ['a=b'] });
      process.kill(bed.pid, 'SIGHUP');
    },
    events: [
      'daemon reload ENGINE allow-nondistributable-artifacts=[] debug=true default-cgroupns-mode=MODE default-ipc-mode=private ' +
        'default-runtime=crun default-shm-size=67108864 features=map[] insecure-registries=[] labels=["a=b"] live-restore=false ' +
        'max-concurrent-downloads=3 max-concurrent-uploads=5 max-download-attempts=5 name=HOST registry-mirrors=[] ' +
        'runtimes=crun:/usr/bin/crun, runc:/usr/bin/runc shutdown-timeout=15',
    ],
  },
  {
    does: 'plugins come and go',
    by: async (bed, folder) => {
      makePlugin(join(folder, 'plugin'));
      const name = `${REGISTRY}/toy:1`;
      await cli(
        `plugin create ${name} ${join(folder, 'plugin')}`,
        `plugin push ${name}`,
        `plugin rm ${name}`,
        `plugin install --grant-all-permissions --alias toy ${name}`,
        'plugin disable toy',
        'plugin rm toy',
      )(bed);
    },
    events: [
      `plugin create ID name=${REGISTRY}/toy:1`,
      `plugin remove ID name=${REGISTRY}/toy:1`,
      `plugin pull ${REGISTRY}/toy:1 name=toy:latest`,
      'plugin enable ID name=toy:latest',
      'plugin disable ID name=toy',
      'plugin remove ID name=toy',
    ],
  },
];

describe.skipIf(!canRun)('events, all that there are (skipped without root on Linux)', () => {
  const folder = mkdtempSync(join(tmpdir(), 'skiff-events-'));
  let bed: Testbed;
  const web = new Web();

  beforeAll(async () => {
    bed = new Testbed();
    bed.configure({});
    await bed.start();
    await web.startRegistry(bed, REGISTRY_PORT);
    await bed.ok('run', '--rm', I, 'true');
  });
  afterAll(async () => {
    await web[Symbol.asyncDispose]();
    await bed?.[Symbol.asyncDispose]();
    rmSync(folder, { recursive: true, force: true });
  });

  const between = async (since: number, ...filters: string[]): Promise<Event[]> => {
    const range = ['--since', (since / 1000).toFixed(3), '--until', ((Date.now() + 1) / 1000).toFixed(3)];
    const lines = await bed.ok(
      'events',
      ...range,
      '--format',
      '{{json .}}',
      ...filters.flatMap((f) => ['--filter', f]),
    );
    return lines
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line) as Event);
  };

  test.each(TABLE)('$does', async ({ by, events, only = /./ }) => {
    const since = Date.now();
    await by(bed, folder);
    const seen = async () => (await between(since)).map(described).filter((line) => only.test(line));
    await expect.poll(async () => (await seen()).sort(), { timeout: 15_000 }).toEqual([...events].sort());
    for (const event of await between(since)) checkOldFields(event);
  });

  test('filters choose as those of dockerd do', async () => {
    const since = Date.now();
    await cli(`run --rm --name ab --label l=v --label m=w ${I} true`, `run --rm --name abc --label l=v ${I} true`)(bed);
    const count = async (...filters: string[]) => (await between(since, 'event=create', ...filters)).length;
    await expect.poll(() => count('type=container')).toBe(2);
    expect(await count('container=ab')).toBe(2);
    expect(await count('container=abc')).toBe(1);
    expect(await count('label=l')).toBe(2);
    expect(await count('label=l=v', 'label=m')).toBe(1);
    expect(await count('label=l=x')).toBe(0);
    expect(await count(`image=${I}`)).toBe(2);
    expect(await count(`image=${I}:latest`)).toBe(0);
    expect(await count('image=skiff')).toBe(0);
    expect(await count('scope=local')).toBe(2);
    expect(await count('scope=swarm')).toBe(0);
    expect(await count('type=image', 'type=network')).toBe(0);
    expect((await between(since, 'event=die', 'event=destroy')).map(({ Action }) => Action).sort()).toEqual([
      'destroy',
      'destroy',
      'die',
      'die',
    ]);
    expect((await between(since, 'network=bridge')).length).toBe(4);
    expect((await bed.docker(['events', '--since', '1h', '--until', '2h'])).code).not.toBe(0);
  });
});

/** `type action id attributes`, with what is different each time as a word. */
function described({ Type, Action, Actor }: Event): string {
  const word = (text: string): string => {
    if (/^[0-9a-f]{64}$/.test(text)) return 'ID';
    if (/^[0-9a-f-]{36}$/.test(text)) return 'ENGINE';
    if (text === hostname()) return 'HOST';
    return /^sha256:[0-9a-f]{64}$/.test(text) ? 'DIGEST' : text;
  };
  const attributes = Object.entries(Actor.Attributes)
    .filter(([key]) => !key.startsWith('org.opencontainers.'))
    .map(
      ([key, value]) =>
        `${key}=${key === 'default-cgroupns-mode' ? 'MODE' : /^(execDuration|reclaimed)$/.test(key) ? 'N' : word(value)}`,
    )
    .sort();
  return [Type, Action, word(Actor.ID), ...attributes].join(' ');
}

/** Fields of the API before 1.22, which only containers and images have. */
function checkOldFields(event: Event): void {
  const old = event.Type === 'container' || event.Type === 'image';
  expect([event.status, event.id || undefined]).toEqual(
    old ? [event.Action, event.Actor.ID || undefined] : [undefined, undefined],
  );
  expect(event.from).toBe(event.Type === 'container' ? event.Actor.Attributes.image : undefined);
}
