import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { diagnose, withoutSecrets } from './diagnose.ts';

/** Read by another implementation: Python's is on every machine that builds Skiff. */
function unzip(path: string): Record<string, string> {
  const script =
    'import json,sys,zipfile\nz=zipfile.ZipFile(sys.argv[1])\nassert z.testzip() is None\n' +
    'print(json.dumps({n: z.read(n).decode() for n in z.namelist()}))';
  return JSON.parse(execFileSync('python3', ['-c', script, path], { encoding: 'utf8' }));
}

describe('what `skiff diagnose` writes', () => {
  let home: string;
  beforeEach(() => {
    home = mkdtempSync(join(tmpdir(), 'skiff-diagnose-'));
    mkdirSync(join(home, 'machine'));
  });
  afterEach(() => rmSync(home, { recursive: true, force: true }));

  it('is one zip file with states, logs and sizes, and no key', async () => {
    writeFileSync(join(home, 'machine', 'console.log'), '[ 0.0] Linux – größer\n');
    writeFileSync(join(home, 'machine', 'id_ed25519'), 'THE KEY');
    const { path } = await diagnose(home, {
      state: () => ({ machine: { kind: 'stopped' } }),
      engine: async () => {
        throw new Error('not up');
      },
    });
    const files = unzip(path);
    expect(files['logs/console.log']).toBe('[ 0.0] Linux – größer\n');
    expect(JSON.parse(files['state.json']!)).toEqual({ machine: { kind: 'stopped' } });
    expect(files['engine.json']).toContain('not up');
    expect(files['files.txt']).toContain('machine/id_ed25519');
    expect(JSON.stringify(files)).not.toContain('THE KEY');
  });

  it.each([
    ['http://user:pa55@proxy:3128/x', 'pa55'],
    ['Authorization: Bearer eyJhbGciOi.J9', 'eyJhbGciOi'],
    ['{"Password": "hunter\\"2", "a": 1}', 'hunter'],
    ['REGISTRY_TOKEN=abcdef next', 'abcdef'],
    ['-----BEGIN OPENSSH PRIVATE KEY-----\nb3Blb\n-----END OPENSSH PRIVATE KEY-----', 'b3Blb'],
  ])('strikes out the secret in %j', (text, secret) => {
    expect(withoutSecrets(text)).not.toContain(secret);
  });

  it('leaves other words alone', () => {
    expect(withoutSecrets('author: x, https://a/b, 12 tokens')).toBe('author: x, https://a/b, 12 tokens');
  });
});
