import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { dockerCli } from '../../scripts/setup.mjs';
import { DockerContext } from './docker-context.ts';

describe("Docker's context for Skiff", () => {
  let dir: string;
  let context: DockerContext;
  const docker = (...args: string[]) => {
    const { DOCKER_HOST: _, DOCKER_CONTEXT: __, ...env } = process.env;
    return execFileSync(dockerCli(), args, { env: { ...env, DOCKER_CONFIG: dir }, encoding: 'utf8' }).trim();
  };

  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'skiff-docker-'));
    context = new DockerContext('unix:///home/a/.skiff/docker.sock', { DOCKER_CONFIG: dir });
  });
  afterEach(() => rmSync(dir, { recursive: true, force: true }));

  it("is read by Docker's own command, and used when it was asked for", async () => {
    await context.create();
    expect(docker('context', 'inspect', 'skiff', '-f', '{{.Endpoints.docker.Host}}')).toBe(
      'unix:///home/a/.skiff/docker.sock',
    );
    expect(docker('context', 'show')).toBe('default');
    await context.use();
    expect(docker('context', 'show')).toBe('skiff');
    expect(await context.state()).toEqual({ exists: true, current: 'skiff', override: undefined });
  });

  it('leaves nothing behind, and everything else as it was', async () => {
    writeFileSync(join(dir, 'config.json'), '{"auths":{"r.example":{"auth":"eA=="}}}');
    await context.use();
    await context.remove();
    expect(docker('context', 'show')).toBe('default');
    expect(readdirSync(join(dir, 'contexts', 'meta'))).toEqual([]);
    expect(JSON.parse(readFileSync(join(dir, 'config.json'), 'utf8'))).toEqual({
      auths: { 'r.example': { auth: 'eA==' } },
    });
    expect(existsSync(join(dir, 'contexts', 'tls'))).toBe(false);
  });

  it("never replaces a configuration that it can't read", async () => {
    writeFileSync(join(dir, 'config.json'), '{"auths":');
    await expect(context.use()).rejects.toMatchObject({ kind: 'conflict' });
    expect(readFileSync(join(dir, 'config.json'), 'utf8')).toBe('{"auths":');
  });

  it('says what overrides it', async () => {
    const other = new DockerContext('unix:///x', { DOCKER_CONFIG: dir, DOCKER_HOST: 'tcp://h:1' });
    expect((await other.state()).override).toBe('DOCKER_HOST=tcp://h:1');
  });
});
