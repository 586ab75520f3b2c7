import { createI18n } from 'vue-i18n';
import type { Settings } from '../electron/contract/settings.ts';
import { en } from './locales/en.ts';
import { zhCN } from './locales/zh-CN.ts';

export const i18n = createI18n({
  legacy: false,
  locale: 'en',
  fallbackLocale: 'en',
  messages: { en, 'zh-CN': zhCN },
});

/** Empty: the system's language. */
export function applyLanguage(language: Settings['language']): void {
  const wanted = language || (navigator.language.toLowerCase().startsWith('zh') ? 'zh-CN' : 'en');
  i18n.global.locale.value = wanted;
  document.documentElement.lang = wanted;
}
