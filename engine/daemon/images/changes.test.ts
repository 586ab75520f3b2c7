import { describe, expect, it } from 'vitest';
import { parseUntil } from '../times.ts';
import { applyChanges, words } from './changes.ts';
import { globToRegExp } from './list.ts';

describe('--change', () => {
  it('applies Dockerfile instructions', () => {
    const config = applyChanges({ Env: ['PATH=/bin', 'A=1'], Cmd: ['x'], WorkingDir: '/srv' }, [
      'ENV A=2 B="c d"',
      'ENV OLD some value\nLABEL a=b "c d"=e',
      'entrypoint ["run"]',
      'CMD echo hi',
      'EXPOSE 80 53/udp 9000-9001',
      'VOLUME /data /more',
      'VOLUME ["/json"]',
      'WORKDIR app',
      'USER 1:2',
      'STOPSIGNAL SIGINT',
      'ONBUILD RUN x',
      'HEALTHCHECK --interval=5s --retries=3 CMD curl -f /',
    ]);
    expect(config).toEqual({
      Env: ['PATH=/bin', 'A=2', 'B=c d', 'OLD=some value'],
      Labels: { a: 'b', 'c d': 'e' },
      Entrypoint: ['run'],
      Cmd: ['/bin/sh', '-c', 'echo hi'],
      ExposedPorts: { '80/tcp': {}, '53/udp': {}, '9000/tcp': {}, '9001/tcp': {} },
      Volumes: { '/data': {}, '/more': {}, '/json': {} },
      WorkingDir: '/srv/app',
      User: '1:2',
      StopSignal: 'SIGINT',
      OnBuild: ['RUN x'],
      Healthcheck: { Test: ['CMD-SHELL', 'curl -f /'], Interval: 5e9, Retries: 3 },
    });
  });

  it.each([
    ['RUN x', 'run is not a valid change command'],
    ['NOPE x', 'dockerfile parse error on line 1: unknown instruction: NOPE'],
    ['ENV', 'ENV requires at least one argument'],
    ['ENV a', 'ENV must have two arguments'],
    ['EXPOSE x', 'invalid containerPort: x'],
  ])('refuses %s', (text, message) => {
    expect(() => applyChanges({}, [text])).toThrow(message);
  });

  it('splits words as a shell does', () => {
    expect(words(`a "b c" d\\ e 'f "g'x`)).toEqual(['a', 'b c', 'd e', 'f "gx']);
  });
});

describe('filters', () => {
  it.each([
    ['*', 'busybox', true],
    ['*', 'a/b', false],
    ['a/?:1', 'a/b:1', true],
    ['[ab]*:1', 'bx:1', true],
    ['a.b', 'axb', false],
  ])('%s against %s is %s', (pattern, name, matches) => {
    expect(globToRegExp(pattern).test(name)).toBe(matches);
  });

  it('read times in every form Docker takes', () => {
    expect(parseUntil('1h30m', 10_000_000)).toBe(10_000_000 - 5_400_000);
    expect(parseUntil('1600000000')).toBe(1_600_000_000_000);
    expect(parseUntil('2020-01-02')).toBe(Date.UTC(2020, 0, 2));
    expect(parseUntil('2020-01-02T03:04:05')).toBe(Date.UTC(2020, 0, 2, 3, 4, 5));
    expect(() => parseUntil('yesterday')).toThrow(/failed to parse/);
  });
});
