import { spawn } from 'node:child_process';
import { request as httpRequest } from 'node:http';

import { pack } from 'tar-stream';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';

import { dockerCli } from '../../scripts/setup.mjs';
import { canRun, Testbed } from '../engine/testbed.ts';
import { leftovers } from './leftovers.ts';
import { ContextFolder } from './samples.ts';

const BASE = 'FROM skiff/welcome\n';

describe.skipIf(!canRun)(
  'docker build when something is wrong (skipped without root on Linux: needs namespaces)',
  () => {
    let bed: Testbed;

    beforeAll(async () => {
      bed = new Testbed();
      await bed.start();
    });
    afterAll(() => bed[Symbol.asyncDispose]());

    const build = async (dockerfile: string, files: Record<string, string> = {}, args: readonly string[] = []) => {
      using folder = new ContextFolder({ Dockerfile: dockerfile, ...files });
      return await bed.docker(['build', ...args, folder.path]);
    };

    /** POST /build of a tar, past the CLI. */
    const post = (query: string, body: Buffer): Promise<{ status: number; text: string }> =>
      new Promise((resolve, reject) => {
        const request = httpRequest({ socketPath: bed.socket, path: `/build?${query}`, method: 'POST' }, (answer) => {
          let text = '';
          answer.on('data', (chunk) => (text += chunk));
          answer.on('end', () => resolve({ status: answer.statusCode ?? 0, text }));
        });
        request.on('error', reject);
        request.end(body);
      });

    const tarOf = async (entries: Record<string, string>): Promise<Buffer> => {
      const archive = pack();
      for (const [name, content] of Object.entries(entries)) archive.entry({ name }, content);
      archive.finalize();
      const pieces: Buffer[] = [];
      for await (const piece of archive as AsyncIterable<Buffer>) pieces.push(piece);
      return Buffer.concat(pieces);
    };

    test.each([
      [
        'an unknown instruction',
        `${BASE}FOO bar`,
        'dockerfile parse error on line 2: unknown instruction: FOO\nDockerfile:2\n',
      ],
      [
        'a file that is missing',
        `${BASE}COPY nope /x`,
        'COPY failed: file not found in build context or excluded by .dockerignore: stat nope: file does not exist',
      ],
      [
        'a path outside of the context',
        `${BASE}COPY ../x /x`,
        'COPY failed: forbidden path outside the build context: ../x ()',
      ],
      ['a pattern that matches nothing', `${BASE}COPY *.nope /x/`, 'COPY failed: no source files were specified'],
      [
        'several sources for one file',
        `${BASE}COPY Dockerfile other /x`,
        'When using COPY with more than one source file, the destination must be a directory and end with a /',
      ],
      [
        'a stage that depends on itself',
        'FROM skiff/welcome AS a\nCOPY --from=a /x /x',
        'circular dependency detected on stage: a',
      ],
      ['an unknown flag', `${BASE}COPY --nope=x a b`, 'dockerfile parse error on line 2: unknown flag: --nope'],
      ['a here-document without end', `${BASE}RUN <<EOF\necho`, 'unterminated heredoc'],
      ['an instruction before FROM', 'RUN true', 'no build stage in current context'],
      ['ONBUILD of ONBUILD', `${BASE}ONBUILD ONBUILD RUN x`, "Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed"],
      ['an owner that does not exist', `${BASE}COPY --chown=nobodyhere other /x`, "can't find uid for user nobodyhere"],
      ['an insecure RUN', `${BASE}RUN --security=insecure true`, 'security.insecure is not allowed'],
      ['a secret that is required', `${BASE}RUN --mount=type=secret,id=s,required true`, 'secret s: not found'],
      ['an empty Dockerfile', '# nothing\n', 'file with no instructions'],
      ['a variable that must be set', `${BASE}ENV A=\${B:?needed}`, 'B: needed'],
      [
        'a directory where a file should go',
        `${BASE}RUN mkdir -p /d/other\nCOPY other /d`,
        'cannot overwrite directory',
      ],
    ])('%s is refused in Docker’s words', async (_what, dockerfile, words) => {
      const outcome = await build(dockerfile, { other: 'x' });
      expect(outcome.code).not.toBe(0);
      expect(outcome.stderr).toContain(words);
    });

    test('an error shows the line of the file', async () => {
      const { stderr } = await build(`${BASE}ENV A=b\nCOPY nope /x\nRUN true`);
      expect(stderr).toContain('Dockerfile:3');
      expect(stderr).toContain('   3 | >>> COPY nope /x');
    });

    test('a failing RUN exits the build with its code, after its output', async () => {
      const outcome = await build(`${BASE}RUN echo before; exit 42`);
      expect(outcome.code).toBe(42);
      expect(outcome.stdout).toContain('before\n');
      expect(outcome.stderr).toContain("The command '/bin/sh -c echo before; exit 42' returned a non-zero code: 42");
    });

    test('an unknown target is refused', async () => {
      expect((await build(BASE, {}, ['--target', 'nope'])).stderr).toContain('target stage "nope" could not be found');
    });

    test('BuildKit sessions and squashing are refused clearly', async () => {
      const body = await tarOf({ Dockerfile: BASE });
      expect(await post('version=2', body)).toMatchObject({
        status: 501,
        text: expect.stringContaining('DOCKER_BUILDKIT=0'),
      });
      expect(await post('squash=1', body)).toMatchObject({
        status: 400,
        text: expect.stringContaining('experimental'),
      });
    });

    test('names in the context that lead out of it are refused, and what they name is not touched', async () => {
      const body = await tarOf({ Dockerfile: BASE, '../../evil': 'x' });
      expect(await post('', body)).toMatchObject({ status: 400, text: expect.stringContaining('outside') });
      expect((await post('', Buffer.from('no tar at all'.repeat(100)))).status).toBe(400);
    });

    test('a symlink in the context reads nothing of the machine', async () => {
      using folder = new ContextFolder({ Dockerfile: `${BASE}COPY link/passwd /x`, link: { link: '/etc' } });
      expect((await bed.docker(['build', folder.path])).stderr).toContain('file does not exist');
    });

    test('a client that leaves ends the step, and nothing of it stays', async () => {
      using folder = new ContextFolder({ Dockerfile: `${BASE}RUN echo started; sleep 1000` });
      const child = spawn(dockerCli(), ['-H', `unix://${bed.socket}`, 'build', folder.path]);
      let output = '';
      child.stdout.on('data', (chunk) => (output += chunk));
      await vi.waitFor(() => expect(output).toContain('started'), 20_000);
      child.kill('SIGKILL');
      await vi.waitFor(() => expect(leftovers(bed)).toEqual([]), 20_000);
      expect(await lastBuild(bed)).toMatchObject({ status: 'canceled' });
    });
  },
);

function lastBuild(bed: Testbed): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const request = httpRequest({ socketPath: bed.socket, path: '/skiff/builds' }, (answer) => {
      let text = '';
      answer.on('data', (chunk) => (text += chunk));
      answer.on('end', () => resolve((JSON.parse(text) as unknown[])[0]));
    });
    request.on('error', reject);
    request.end();
  });
}
