import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type BrowserContext, chromium, type Page } from 'playwright-core';

const CANDIDATES = ['/usr/bin/chromium', '/usr/bin/google-chrome', '/usr/bin/chromium-browser'];

export function browserPath(): string | undefined {
  return CANDIDATES.find((path) => existsSync(path));
}

/** Why the window's tests can't run here. */
export function browserMissing(): string | undefined {
  return browserPath() ? undefined : 'there is no Chromium (Debian: chromium)';
}

export const BROWSER_FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

export interface TestBrowser {
  context: BrowserContext;
  page: Page;
  /** what the page wrote as errors, and requests that left this computer: both must stay empty */
  complaints: string[];
  close(): Promise<void>;
}

export async function openBrowser(
  options: { width?: number; height?: number; dark?: boolean } = {},
): Promise<TestBrowser> {
  const profile = mkdtempSync(join(tmpdir(), 'skiff-chromium-'));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: browserPath(),
    args: BROWSER_FLAGS,
    viewport: { width: options.width ?? 1200, height: options.height ?? 760 },
    colorScheme: options.dark ? 'dark' : 'light',
    locale: 'en-US',
    permissions: ['clipboard-read', 'clipboard-write'],
  });
  const page = context.pages()[0] ?? (await context.newPage());
  const complaints: string[] = [];
  page.on('console', (message) => message.type() === 'error' && complaints.push(message.text()));
  page.on('pageerror', (error) => complaints.push(String(error)));
  page.on('request', (request) => {
    const { protocol, hostname } = new URL(request.url());
    const here =
      protocol === 'data:' || protocol === 'blob:' || hostname === '127.0.0.1' || hostname === 'skiff.localhost';
    if (!here) complaints.push(`a request left this computer: ${request.url()}`);
  });
  return {
    context,
    page,
    complaints,
    close: async () => {
      await context.close();
      rmSync(profile, { recursive: true, force: true });
    },
  };
}
