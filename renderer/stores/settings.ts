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

  link.whileOpen(async (client, signal) => {
    settings.value = await client.settings.get(signal);
    look.value = { theme: settings.value.theme, language: settings.value.language };
  });
  watch(
    look,
    (now) => {
      applyTheme(now.theme);
      applyLanguage(now.language);
      localStorage.setItem(REMEMBERED, JSON.stringify(now));
    },
    { immediate: true, deep: true },
  );

  /** Throws AppError 'invalid'. */
  async function set(changes: Partial<Settings>): Promise<void> {
    settings.value = await link.client.settings.set(changes);
    look.value = { theme: settings.value.theme, language: settings.value.language };
  }

  return { settings, look, set };
});

function remembered(): Pick<Settings, 'theme' | 'language'> {
  try {
    return { theme: 'system', language: '', ...JSON.parse(localStorage.getItem(REMEMBERED) ?? '{}') };
  } catch {
    return { theme: 'system', language: '' };
  }
}
