import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

const main = join(import.meta.dirname, 'main.ts');

describe('the skiff command without a running app', () => {
  let home: string;
  const skiff = (...args: string[]) =>
    new Promise<{ code: number; out: string; err: string }>((done) => {
      const { DOCKER_HOST: _, DOCKER_CONTEXT: __, ...others } = process.env;
      const env = { ...others, SKIFF_HOME: home, DOCKER_CONFIG: join(home, 'docker') };
      execFile(process.execPath, [main, ...args], { env }, (error, out, err) =>
        done({ code: error ? Number(error.code) : 0, out, err }),
      );
    });
  beforeEach(() => {
    home = mkdtempSync(join(tmpdir(), 'skiff-cli-'));
  });
  afterEach(() => rmSync(home, { recursive: true, force: true }));

  it('reads and changes settings, by the type of each', async () => {
    expect((await skiff('config', 'get', 'diskGb')).out).toBe('64\n');
    expect(await skiff('config', 'set', 'wakeOnConnect', 'no')).toMatchObject({
      code: 0,
      out: 'wakeOnConnect=false\n',
    });
    expect((await skiff('config', 'set', 'sharedFolders=/a,/b', '--json')).out).toContain('restarts-machine');
    const all = JSON.parse((await skiff('config', 'list', '--json')).out);
    expect(all).toMatchObject({ wakeOnConnect: false, sharedFolders: ['/a', '/b'], cpus: 0 });
  });

  it('says what is wrong, and by its exit code whose mistake it is', async () => {
    expect(await skiff('config', 'get', 'speed')).toMatchObject({ code: 2 });
    expect(await skiff('config', 'set', 'cpus', 'many')).toMatchObject({ code: 1 });
    expect(await skiff('config')).toMatchObject({ code: 2, err: expect.stringContaining('skiff config get') });
    expect(await skiff('disk', 'resize', 'huge')).toMatchObject({ code: 2 });
    const failed = await skiff('config', 'set', 'diskGb', '1', '--json');
    expect(failed.code).toBe(1);
    expect(JSON.parse(failed.err).error.message).toContain('diskGb');
  });

  it("makes, uses and removes Docker's context", async () => {
    const config = join(home, 'docker', 'config.json');
    expect((await skiff('context', 'use')).code).toBe(0);
    expect(JSON.parse(readFileSync(config, 'utf8'))).toEqual({ currentContext: 'skiff' });
    expect(JSON.parse((await skiff('context', 'status', '--json')).out)).toMatchObject({ exists: true });
    expect((await skiff('context', 'remove')).code).toBe(0);
    expect(JSON.parse(readFileSync(config, 'utf8'))).toEqual({});
    expect(existsSync(join(home, 'app.sock'))).toBe(false);
  });

  it('completes what is typed in bash', async () => {
    const { out } = await skiff('completion', 'bash');
    const complete = (...words: string[]) =>
      new Promise<string>((done, fail) => {
        const line = `COMP_WORDS=(${words.map((word) => `'${word}'`).join(' ')}); COMP_CWORD=${words.length - 1}; _skiff; echo "\${COMPREPLY[*]}"`;
        execFile('bash', ['-c', `${out}\n${line}`], (error, said) => (error ? fail(error) : done(said.trim())));
      });
    expect(await complete('skiff', 'sn')).toBe('snapshot');
    expect(await complete('skiff', 'disk', 'c')).toBe('compact');
    expect(await complete('skiff', 'config', 'get', 'idle')).toBe('idleStopMinutes');
  });

  it.each(['zsh', 'fish'])('has a completion for %s', async (shell) => {
    expect((await skiff('completion', shell)).out).toContain('update-image');
  });
});
