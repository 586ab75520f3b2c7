import type { Settings } from '../electron/contract/settings.ts';

const dark = matchMedia('(prefers-color-scheme: dark)');
let chosen: Settings['theme'] = 'system';

function show(): void {
  document.documentElement.classList.toggle('dark', chosen === 'dark' || (chosen === 'system' && dark.matches));
}

dark.addEventListener('change', show);

export function applyTheme(theme: Settings['theme']): void {
  chosen = theme;
  show();
}
