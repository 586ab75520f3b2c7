import { useToast } from '@nuxt/ui/composables/useToast';
import { useI18n } from 'vue-i18n';

/** Copies to the clipboard and says so. */
export function useCopy() {
  const toast = useToast();
  const { t } = useI18n();
  return async (text: string) => {
    await navigator.clipboard.writeText(text);
    toast.add({
      title: t('common.copied'),
      description: text.length > 80 ? `${text.slice(0, 80)}…` : text,
      icon: 'i-lucide-check',
      color: 'success',
      duration: 1_800,
    });
  };
}
