import { link } from '../link/link.ts';
import { saveAs } from '../parts/save-as.ts';
import type { LogSource } from './container-log.ts';

/** The whole log, not only what the view keeps, as it was written (colours included); of several in the order of time. */
export async function saveLog(name: string, sources: readonly LogSource[]): Promise<void> {
  const [only] = sources;
  if (sources.length === 1 && only) {
    saveAs(`${name}.log`, await wholeLog(only.id, false));
    return;
  }
  const lines: [string, string][] = [];
  for (const source of sources) {
    const text = (await wholeLog(source.id, true)).join('');
    for (const line of text.split('\n')) {
      if (!line) continue;
      const blank = line.indexOf(' ');
      lines.push([line.slice(0, blank), `${source.name} | ${line.slice(blank + 1)}\n`]);
    }
  }
  lines.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
  saveAs(
    `${name}.log`,
    lines.map(([, line]) => line),
  );
}

async function wholeLog(id: string, timestamps: boolean): Promise<string[]> {
  const parts: string[] = [];
  const request = { tail: 'all' as const, follow: false, timestamps };
  for await (const { text } of link.client.containers.logs(id, request)) parts.push(text);
  return parts;
}
