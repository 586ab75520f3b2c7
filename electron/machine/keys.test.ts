import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import ssh2 from 'ssh2';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ensureKey } from './keys.ts';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'skiff-keys-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const ensure = () => ensureKey(join(dir, 'id'), join(dir, 'id.pub'));

describe("the user's SSH key", () => {
  it('is made at first, readable by the user alone, and stays the same', async () => {
    const made = await ensure();
    expect(statSync(join(dir, 'id')).mode & 0o777).toBe(0o600);
    expect(await ensure()).toEqual(made);
  });

  it('is one that ssh2 can log in with, and its two halves belong together', async () => {
    const made = await ensure();
    const parsed = ssh2.utils.parseKey(made.privateKey);
    if (parsed instanceof Error) throw parsed;
    expect(parsed.type).toBe('ssh-ed25519');
    expect(parsed.getPublicSSH().toString('base64')).toBe(made.publicBase64);
    const signature = parsed.sign('data');
    if (signature instanceof Error) throw signature;
    expect(parsed.verify('data', signature)).toBe(true);
  });

  it('that is damaged is reported with what to do, and not replaced', async () => {
    await ensure();
    writeFileSync(join(dir, 'id.pub'), 'rubbish');
    await expect(ensure()).rejects.toMatchObject({
      kind: 'keys-failed',
      step: 'keys',
      hint: expect.stringContaining('id'),
    });
    expect(readFileSync(join(dir, 'id.pub'), 'utf8')).toBe('rubbish');
  });
});
