import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { acquireLock } from './lock.ts';
import { processId } from './process.ts';

let dir: string;
let path: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'skiff-lock-'));
  path = join(dir, 'lock');
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

describe('the lock on the data disk', () => {
  it('can be had once, and again when it was released', () => {
    const lock = acquireLock(path);
    expect(() => acquireLock(path)).toThrow(expect.objectContaining({ kind: 'in-use', step: 'disk' }));
    lock.release();
    acquireLock(path).release();
    expect(existsSync(path)).toBe(false);
  });

  it('names the process that has it', () => {
    const child = spawn('sleep', ['30']);
    try {
      writeFileSync(path, JSON.stringify(processId(child.pid!)));
      expect(() => acquireLock(path)).toThrow(new RegExp(`process ${child.pid}`));
    } finally {
      child.kill('SIGKILL');
    }
  });

  it('is taken over from a process that has died without releasing it', async () => {
    const child = spawn('true');
    const dead = processId(child.pid!);
    await new Promise((resolve) => child.on('exit', resolve));
    writeFileSync(path, JSON.stringify(dead));
    acquireLock(path).release();
  });

  it.runIf(process.platform === 'linux')('is taken over when another process has the dead one’s number now', () => {
    writeFileSync(path, JSON.stringify({ pid: process.pid, startTime: '1' }));
    acquireLock(path).release();
  });

  it('is taken over when what it holds is rubbish', () => {
    writeFileSync(path, '');
    acquireLock(path).release();
  });
});
