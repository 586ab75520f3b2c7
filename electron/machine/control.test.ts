import { describe, expect, it } from 'vitest';
import { parseGuestLine } from './control.ts';

describe('what the guest says', () => {
  it('is read with the time of its own clock', () => {
    expect(parseGuestLine('event 3.67 early')).toEqual({ kind: 'progress', what: 'early', uptimeMs: 3670 });
    expect(parseGuestLine('event 8.17 ready\r')).toEqual({ kind: 'engine-ready', uptimeMs: 8170 });
    expect(parseGuestLine('event 12 engine-down 137')).toEqual({ kind: 'engine-down', status: 137, uptimeMs: 12000 });
  });

  it('carries the host key in wire format', () => {
    const event = parseGuestLine('event 5.54 sshd AAAAC3NzaC1lZDI1NTE5');
    expect(event).toMatchObject({ kind: 'sshd', hostKey: Buffer.from('AAAAC3NzaC1lZDI1NTE5', 'base64') });
  });

  it('tells why it cannot go on', () => {
    expect(parseGuestLine('event 4.2 fail disk the data disk is missing')).toEqual({
      kind: 'failed',
      what: 'disk',
      reason: 'the data disk is missing',
      uptimeMs: 4200,
    });
  });

  it('is ignored when it is torn or something else', () => {
    for (const line of ['', 'ready', 'event', 'event x early', 'event 3.67', 'event 3.67 sshd']) {
      expect(parseGuestLine(line)).toBeUndefined();
    }
  });
});
