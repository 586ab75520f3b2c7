import { readFile } from 'node:fs/promises';
import { extname, join, normalize, sep } from 'node:path';

const TYPES: Record<string, string> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.ico': 'image/x-icon',
  '.woff2': 'font/woff2',
  '.json': 'application/json',
};

export interface PageFile {
  status: number;
  headers: Record<string, string>;
  body: Buffer;
}

/** A file of the built window, with the headers that lock the page down; the same in Electron and in the browser. */
export async function readPage(dir: string, path: string): Promise<PageFile> {
  const clean = normalize(decodeURIComponent(path)).replaceAll('\\', '/');
  const wanted = clean === '/' || clean === '.' ? '/index.html' : clean;
  const file = join(dir, wanted);
  const type = TYPES[extname(file)];
  if (!file.startsWith(dir + sep) || !type)
    return { status: 404, headers: pageHeaders(), body: Buffer.from('Not found') };
  try {
    const body = await readFile(file);
    // Vite puts a hash of the content into the names below assets/.
    const cache = wanted.startsWith('/assets/') ? 'public, max-age=31536000, immutable' : 'no-store';
    return { status: 200, headers: { ...pageHeaders(), 'Content-Type': type, 'Cache-Control': cache }, body };
  } catch {
    return { status: 404, headers: pageHeaders(), body: Buffer.from('Not found') };
  }
}

/**
 * Nothing from elsewhere, no inline scripts, no frames. Styles may be inline: the component library sets its colours so.
 */
export function pageHeaders(): Record<string, string> {
  return {
    'Content-Security-Policy': [
      "default-src 'none'",
      "script-src 'self'",
      "style-src 'self' 'unsafe-inline'",
      "img-src 'self' data:",
      "font-src 'self'",
      "connect-src 'self'",
      "base-uri 'none'",
      "form-action 'none'",
      "frame-ancestors 'none'",
    ].join('; '),
    'X-Content-Type-Options': 'nosniff',
    'X-Frame-Options': 'DENY',
    'Referrer-Policy': 'no-referrer',
    'Cross-Origin-Opener-Policy': 'same-origin',
    'Cross-Origin-Resource-Policy': 'same-origin',
  };
}
