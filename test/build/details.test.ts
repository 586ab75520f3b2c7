import { spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';

import { type Header, pack } from 'tar-stream';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';

import { dockerCli } from '../../scripts/setup.mjs';
import { canRun, Testbed } from '../engine/testbed.ts';
import { postBuild } from './api.ts';
import type { ContextFile } from './corpus.ts';
import { leftovers } from './leftovers.ts';
import { ContextFolder } from './samples.ts';

const BASE = 'FROM skiff/welcome\n';

describe.skipIf(!canRun)('details of docker build (skipped without root on Linux: needs namespaces)', () => {
  let bed: Testbed;

  beforeAll(async () => {
    bed = new Testbed();
    await bed.start();
  });
  afterAll(() => bed[Symbol.asyncDispose]());

  const build = async (dockerfile: string, files: Record<string, ContextFile> = {}, ...args: string[]) => {
    using folder = new ContextFolder({ Dockerfile: dockerfile, ...files });
    return await bed.docker(['build', ...args, folder.path]);
  };

  test('HEALTHCHECK keeps all its options, and NONE forgets them', async () => {
    const options = '--interval=1m30s --timeout=3s --start-period=2s --start-interval=500ms --retries=4';
    await build(`${BASE}HEALTHCHECK ${options} CMD ["true", "a b"]`, {}, '-t', 'healthy');
    const healthcheck = (name: string): Promise<string> =>
      bed.ok('image', 'inspect', '-f', '{{json .Config.Healthcheck}}', name);
    expect(JSON.parse(await healthcheck('healthy'))).toEqual({
      Test: ['CMD', 'true', 'a b'],
      Interval: 90e9,
      Timeout: 3e9,
      StartPeriod: 2e9,
      StartInterval: 0.5e9,
      Retries: 4,
    });
    await build(`FROM healthy\nHEALTHCHECK NONE`, {}, '-t', 'unchecked');
    expect(JSON.parse(await healthcheck('unchecked'))).toEqual({ Test: ['NONE'] });
    const { stderr } = await build(`${BASE}HEALTHCHECK --start-interval=x CMD true`);
    expect(stderr).toContain('time: invalid duration "x"');
  });

  test('the limits of --cpuset-cpus, --cpu-* and --memory-swap are those of RUN', async () => {
    // Version 2 of cgroups and version 1, whichever is here.
    const script = [
      'echo cpus $(grep Cpus_allowed_list /proc/self/status | cut -f2)',
      'cd /sys/fs/cgroup',
      'echo quota $(cat cpu.max cpu/cpu.cfs_quota_us cpu/cpu.cfs_period_us 2>/dev/null)',
      'echo shares $(cat cpu.weight cpu/cpu.shares 2>/dev/null)',
      'echo swap $(cat memory.swap.max memory/memory.memsw.limit_in_bytes memory/memory.limit_in_bytes 2>/dev/null)',
    ].join('; ');
    const cpu = /Cpus_allowed_list:\s*(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? '0';
    const limits = ['--cpuset-cpus', cpu, '--cpu-period', '50000', '--cpu-quota', '25000', '--cpu-shares', '512'];
    const memory = ['--memory', '64m', '--memory-swap', '96m'];
    const { stdout, stderr } = await build(`${BASE}RUN ${script}`, {}, ...limits, ...memory);
    expect(stdout + stderr).toContain(`cpus ${cpu}\n`);
    expect(stdout).toMatch(/^quota 25000 50000$/m);
    expect(stdout).toMatch(/^shares (20|59|512)$/m);
    expect(stdout).toMatch(/^swap .*\b(33554432|100663296|67108864)\b/m);
  });

  test('RUN is below the --cgroup-parent', async () => {
    using folder = new ContextFolder({ Dockerfile: `${BASE}RUN sleep 98761` });
    const options = ['-H', `unix://${bed.socket}`, 'build', '--cgroup-parent', '/skiff-build-test', folder.path];
    const client = spawn(dockerCli(), options, { stdio: 'ignore' });
    try {
      await vi.waitFor(
        () => expect(cgroupOf(['sleep', '98761', ''].join('\0'))).toContain('/skiff-build-test/'),
        20_000,
      );
    } finally {
      client.kill('SIGKILL');
    }
    await vi.waitFor(() => expect(leftovers(bed)).toEqual([]), 20_000);
    // The parent is the user's: as dockerd does, the engine leaves it.
    const parents = ['', ...readdirSync('/sys/fs/cgroup')].map((root) =>
      join('/sys/fs/cgroup', root, 'skiff-build-test'),
    );
    for (const parent of parents.filter((path) => existsSync(path))) await vi.waitFor(() => rmdirSync(parent), 20_000);
  });

  test('--force-rm leaves nothing of a failed build', async () => {
    expect((await build(`${BASE}RUN exit 7`, {}, '--force-rm')).code).toBe(7);
    expect(await bed.ok('ps', '-aq')).toBe('');
    await vi.waitFor(() => expect(leftovers(bed)).toEqual([]), 20_000);
  });

  test('a mode of --chmod can be symbolic', async () => {
    const files = { 'd/plain': { mode: 0o600 }, 'd/tool': { mode: 0o700 }, plain: { mode: 0o640 } };
    const dockerfile = `${BASE}COPY --chmod=u=rwX,go=rX d /d/\nADD --chmod=+x plain /plain`;
    expect((await build(dockerfile, files, '-t', 'modes')).code).toBe(0);
    const script = 'stat -c %a /d/plain /d/tool /plain';
    expect(await bed.ok('run', '--rm', 'modes', 'sh', '-c', script)).toBe('644\n755\n751');
    const { stderr } = await build(`${BASE}COPY --chmod=u=q plain /plain`, files);
    expect(stderr).toContain("invalid chmod parameter: 'u=q'");
  });

  test('# check= says which warnings there are, and whether they are errors', async () => {
    const dockerfile = 'FROM skiff/welcome as Base\nMAINTAINER me\n';
    const warned = (await build(dockerfile)).stdout;
    expect(warned).toContain(
      [
        ' 3 warnings found:',
        " - StageNameCasing: Stage name 'Base' should be lowercase (line 1)",
        " - FromAsCasing: 'as' and 'FROM' keywords' casing do not match (line 1)",
        ' - MaintainerDeprecated: Maintainer instruction is deprecated in favor of using label (line 2)\n',
      ].join('\n'),
    );
    const silent = await build(`# check=skip=all;error=true\n${dockerfile}`);
    expect(silent).toMatchObject({ code: 0, stdout: expect.not.stringContaining('found:') });
    const failed = await build(`# check=skip=StageNameCasing;error=true\n${dockerfile}`);
    expect(failed.code).toBe(1);
    expect(failed.stdout).toContain(' 2 warnings found:\n');
    expect(failed.stderr).toContain('lint violation found for rules: FromAsCasing, MaintainerDeprecated');
    const asked = await build(dockerfile, {}, '--build-arg', 'BUILDKIT_DOCKERFILE_CHECK=error=true');
    expect(asked.stderr).toContain('lint violation found');
  });

  interface Entry extends Partial<Header> {
    readonly name: string;
    readonly content?: string;
  }

  const tarOf = async (entries: readonly Entry[]): Promise<Buffer> => {
    const archive = pack();
    for (const { content, ...header } of entries) archive.entry(header, content ?? '');
    archive.finalize();
    const pieces: Buffer[] = [];
    for await (const piece of archive as AsyncIterable<Buffer>) pieces.push(piece);
    return Buffer.concat(pieces);
  };

  test('a .dockerignore with a bad pattern is refused, by the CLI and by the engine', async () => {
    const { stderr, code } = await build(`${BASE}COPY . /`, { '.dockerignore': '[a\n', other: '' });
    expect(code).not.toBe(0);
    expect(stderr).toContain('syntax error in pattern');
    const body = await tarOf([
      { name: 'Dockerfile', content: BASE },
      { name: '.dockerignore', content: 'a[\n' },
    ]);
    expect(await postBuild(bed.socket, {}, body)).toMatchObject({
      status: 400,
      error: 'error checking context: syntax error in pattern: "a["',
    });
  });

  test.each(['../../etc/passwd', '/etc/passwd'])(
    'a hard link in the context to %s reads nothing of the machine',
    async (linkname) => {
      const body = await tarOf([
        { name: 'Dockerfile', content: `${BASE}COPY leak /leak` },
        { name: 'leak', type: 'link', linkname },
      ]);
      const outcome = await postBuild(bed.socket, {}, body);
      expect(outcome.status).toBe(400);
      expect(outcome.error).toMatch(/invalid hardlink|outside/);
    },
  );

  test('symlinks in the context that lead out of it are copied as they are and never followed', async () => {
    const entries: Entry[] = [
      { name: 'up', type: 'symlink', linkname: '../../../etc' },
      { name: 'up/evil', content: 'evil' },
      { name: 'links/passwd', type: 'symlink', linkname: '../../../../etc/passwd' },
    ];
    const of = (dockerfile: string) => tarOf([{ name: 'Dockerfile', content: dockerfile }, ...entries]);
    const copied = await postBuild(bed.socket, { t: 'links' }, await of(`${BASE}COPY links /links`));
    expect(copied.error).toBe('');
    const target = await bed.ok('run', '--rm', 'links', 'readlink', '/links/passwd');
    expect(target).toBe('../../../../etc/passwd');
    const followed = await postBuild(bed.socket, {}, await of(`${BASE}COPY links/passwd/x /x`));
    expect(followed.error).toContain('COPY failed');
  });
});

/** /proc/<pid>/cgroup of the process with that command line. */
function cgroupOf(command: string): string {
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    try {
      if (readFileSync(`/proc/${pid}/cmdline`, 'utf8') === command) return readFileSync(`/proc/${pid}/cgroup`, 'utf8');
    } catch {
      // It has ended.
    }
  }
  return '';
}
