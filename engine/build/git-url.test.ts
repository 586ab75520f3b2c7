import { expect, test } from 'vitest';

import { isGitRemote, isGitUrl, parseGitUrl } from './git-url.ts';

test.each([
  ['https://example.com/a.git', 'https://example.com/a.git', '', ''],
  ['https://example.com/a.git#main', 'https://example.com/a.git', 'main', ''],
  ['https://example.com/a.git#v1:docker/app', 'https://example.com/a.git', 'v1', 'docker/app'],
  ['https://example.com/a.git#:docker', 'https://example.com/a.git', '', 'docker'],
  ['git://example.com/a', 'git://example.com/a', '', ''],
  ['ssh://git@example.com/a#x', 'ssh://git@example.com/a', 'x', ''],
  ['git@example.com:team/a.git#x:y', 'git@example.com:team/a.git', 'x', 'y'],
  ['github.com/docker/cli#master', 'https://github.com/docker/cli', 'master', ''],
])('%s is a repository', (text, remote, ref, subdir) => {
  expect(isGitRemote(text)).toBe(true);
  expect(parseGitUrl(text)).toEqual({ remote, ref, subdir });
});

test('a path without .git is a file to download; github.com/… is a folder where files are meant', () => {
  expect(isGitRemote('https://example.com/a.tar')).toBe(false);
  expect(isGitRemote('https://example.com/a.git/info')).toBe(false);
  expect(isGitRemote('file:///a.git')).toBe(false);
  expect(isGitUrl('github.com/docker/cli')).toBe(false);
});

test('a reference can be no option of git', () => {
  expect(() => parseGitUrl('https://example.com/a.git#--upload-pack=x')).toThrow('invalid refspec: --upload-pack=x');
});
