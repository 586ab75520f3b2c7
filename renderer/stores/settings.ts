import { defineStore } from 'pinia';
import { ref, watch } from 'vue';
import type { Settings } from '../../electron/contract/settings.ts';
import { applyLanguage } from '../i18n.ts';
import { link } from '../link/link.ts';
import { applyTheme } from '../theme.ts';

/** What the next window shows before the app has answered. */
const REMEMBERED = 'skiff.look';

export const useSettingsStore = defineStore('settings', () => {
  const settings = ref<Settings>();
  const look = ref(remembered());

  link.whileOpen(async (client, signal) => hold(await client.settings.get(signal)));
  watch(
    look,
    (now) => {
      applyTheme(now.theme);
      applyLanguage(now.language);
      localStorage.setItem(REMEMBERED, JSON.stringify(now));
    },
    { immediate: true, deep: true },
  );

  function hold(now: Settings): void {
    settings.value = now;
    look.value = { theme: now.theme, language: now.language };
  }

  /** Throws AppError 'invalid'. */
  const set = async (changes: Partial<Settings>) => hold(await link.client.settings.set(changes));
  /** After something else than `set` has changed them. */
  const reload = async () => hold(await link.client.settings.get());

  return { settings, look, set, reload };
});

function remembered(): Pick<Settings, 'theme' | 'language'> {
  try {
    return { theme: 'system', language: '', ...JSON.parse(localStorage.getItem(REMEMBERED) ?? '{}') };
  } catch {
    return { theme: 'system', language: '' };
  }
}
