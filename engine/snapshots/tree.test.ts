import { describe, expect, it } from 'vitest';

import { cleanName, Tree } from './tree.ts';

describe('the tree of an extraction', () => {
  const grow = () => {
    const made: string[] = [];
    return { made, tree: new Tree((path) => made.push(path)) };
  };

  it('makes implied directories once', () => {
    const { made, tree } = grow();
    expect(tree.locate('a/b/c').path).toBe('a/b/c');
    expect(tree.locate('./a//b/d').path).toBe('a/b/d');
    expect(made).toEqual(['a', 'a/b']);
  });

  it('resolves parents through symlinks inside the root only', () => {
    const { tree } = grow();
    tree.addSymlink('abs', '/usr/lib');
    tree.addSymlink('up', '../../../..');
    tree.addSymlink('usr-link', 'usr');
    expect(tree.locate('abs/x').path).toBe('usr/lib/x');
    expect(tree.locate('up/x').path).toBe('x');
    expect(tree.locate('usr-link/lib/y').path).toBe('usr/lib/y');
    expect(tree.locate('abs').path).toBe('abs');
  });

  it('forgets what is replaced, with all below it', () => {
    const { tree } = grow();
    tree.addDirectory('a');
    tree.addSymlink('a/l', '/etc');
    tree.locate('a/l/x');
    tree.forget('a');
    expect(tree.locate('a/l/x').path).toBe('a/l/x');
  });

  it.each(['../x', 'a/../../x', '/../x'])('refuses the name %s', (name) => {
    expect(() => cleanName(name)).toThrow(/outside of the layer/);
  });

  it.each([
    ['/etc/x', 'etc/x'],
    ['./', ''],
    ['a/./b/../c', 'a/c'],
    ['a/', 'a'],
    ['..a/b..', '..a/b..'],
  ])('cleans %s to %s', (name, clean) => {
    expect(cleanName(name)).toBe(clean);
  });
});
