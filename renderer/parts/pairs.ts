/** `NAME=value` lines → a record; empty lines count as none. */
export function pairs(lines: string): Record<string, string> {
  const found = lines.split('\n').flatMap((line) => {
    const clean = line.trim();
    if (!clean) return [];
    const at = clean.indexOf('=');
    return [[at < 0 ? clean : clean.slice(0, at), at < 0 ? '' : clean.slice(at + 1)] as const];
  });
  return Object.fromEntries(found);
}
