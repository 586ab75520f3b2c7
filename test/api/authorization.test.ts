import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';

import { canRun, Testbed } from '../engine/testbed.ts';

interface Asked {
  readonly method: string;
  readonly fields: {
    readonly RequestUri?: string;
    readonly RequestBody?: string;
    readonly ResponseStatusCode?: number;
    readonly ResponseBody?: string;
  };
}

describe.skipIf(!canRun)('authorization plugins (skipped without root on Linux: needs namespaces)', () => {
  let bed: Testbed;
  let plugin: Server;
  const asked: Asked[] = [];
  let decide: (asked: Asked) => object = () => ({ Allow: true });

  beforeAll(async () => {
    bed = new Testbed();
    // The engine finds it by a spec file, as its own /run/docker/plugins can't be reached from here.
    const socket = join(bed.shared, 'guard.sock');
    mkdirSync(bed.shared, { recursive: true });
    plugin = createServer(async (request, response) => {
      let text = '';
      for await (const chunk of request) text += chunk;
      const method = (request.url ?? '').slice(1);
      const seen = { method, fields: JSON.parse(text || '{}') };
      asked.push(seen);
      response.end(JSON.stringify(method === 'Plugin.Activate' ? { Implements: ['authz'] } : decide(seen)));
    });
    await new Promise<void>((resolve) => plugin.listen(socket, resolve));
    bed.configure({ 'authorization-plugins': ['guard'] });
    await bed.start();
    const script = 'mkdir -p /etc/docker/plugins; echo unix:///run/host/guard.sock > /etc/docker/plugins/guard.spec';
    execFileSync('nsenter', [`--target=${bed.pid}`, '--mount', '/bin/sh', '-c', script]);
  }, 60_000);
  afterAll(async () => {
    decide = () => ({ Allow: true });
    await bed?.[Symbol.asyncDispose]();
    plugin.close();
  });
  beforeEach(() => {
    asked.length = 0;
    decide = () => ({ Allow: true });
  });

  it('are shown each request and its answer', async () => {
    await bed.ok('volume', 'create', 'shown');
    const created = asked.filter(({ fields }) => fields.RequestUri?.endsWith('/volumes/create'));
    expect(created.map(({ method }) => method)).toEqual(['AuthZPlugin.AuthZReq', 'AuthZPlugin.AuthZRes']);
    const [request, response] = created;
    expect(JSON.parse(Buffer.from(request!.fields.RequestBody!, 'base64').toString())).toMatchObject({ Name: 'shown' });
    expect(response!.fields.ResponseStatusCode).toBe(201);
    expect(JSON.parse(Buffer.from(response!.fields.ResponseBody!, 'base64').toString())).toMatchObject({
      Name: 'shown',
    });
    expect(await bed.ok('info', '--format', '{{.Plugins.Authorization}}')).toBe('[guard]');
  });

  it('refuse a request, which then has no effect, or an answer', async () => {
    decide = ({ method, fields }) =>
      method.endsWith('Req') && fields.RequestUri?.includes('/volumes/create')
        ? { Allow: false, Msg: 'no volumes' }
        : { Allow: true };
    const refused = await bed.docker(['volume', 'create', 'refused']);
    expect(refused.stderr).toContain('authorization denied by plugin guard: no volumes');
    expect(await bed.ok('volume', 'ls', '-q', '--filter', 'name=refused')).toBe('');

    decide = ({ method, fields }) =>
      method.endsWith('Res') && fields.RequestUri?.includes('/volumes')
        ? { Allow: false, Msg: 'secret' }
        : { Allow: true };
    const hidden = await bed.docker(['volume', 'ls']);
    expect(hidden).toMatchObject({ code: 1, stdout: '' });
    expect(hidden.stderr).toContain('authorization denied by plugin guard: secret');
  });

  it('let streams and terminals through', async () => {
    expect(await bed.ok('run', '--rm', '--entrypoint', 'sh', 'skiff/welcome', '-c', 'seq 20000 | tail -1')).toBe(
      '20000',
    );
    await bed.ok('run', '--name', 'logged', '--entrypoint', 'seq', 'skiff/welcome', '20000');
    expect((await bed.ok('logs', 'logged')).split('\n').length).toBe(20_000);
    await bed.ok('rm', 'logged');
  });

  it('that fail are no permission', async () => {
    decide = () => ({ Err: 'broken' });
    const { stderr } = await bed.docker(['volume', 'ls']);
    expect(stderr).toMatch(/plugin guard failed with error: .*broken/);
  });
});
