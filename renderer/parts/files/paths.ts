export function join(folder: string, name: string): string {
  return `${folder === '/' ? '' : folder}/${name}`;
}

export function parent(path: string): string {
  return path.slice(0, path.lastIndexOf('/')) || '/';
}

/** `/a/b` → each folder on the way, with what to call it */
export function crumbs(path: string, root: string): { name: string; path: string }[] {
  const below = path === root ? '' : path.slice(root === '/' ? 1 : root.length + 1);
  const found = [{ name: '/', path: root }];
  for (const name of below.split('/').filter(Boolean)) {
    found.push({ name, path: join(found.at(-1)?.path ?? root, name) });
  }
  return found;
}

/** `rwxr-xr-x` */
export function rights(mode: number): string {
  return Array.from({ length: 9 }, (_, n) => ((mode >> (8 - n)) & 1 ? 'rwx'[n % 3] : '-')).join('');
}

/** The text of a file; undefined when it is not one. */
export function asText(bytes: Uint8Array): string | undefined {
  if (bytes.subarray(0, 8_192).includes(0)) return undefined;
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    return undefined;
  }
}
