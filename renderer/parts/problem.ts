import { useToast } from '@nuxt/ui/composables/useToast';
import { useI18n } from 'vue-i18n';
import { AppError } from '../../electron/rpc/client.ts';

/** Shows what went wrong: what failed in the reader's language, what the engine said, and what to do. */
export function useProblems() {
  const toast = useToast();
  const { t } = useI18n();

  function show(error: unknown, title: string): void {
    if (error instanceof AppError && error.kind === 'cancelled') return;
    const words =
      error instanceof AppError
        ? [error.message || t(`errors.${error.kind}`), error.hint]
        : [t('errors.unknown'), String(error)];
    toast.add({
      title,
      description: words.filter(Boolean).join(' '),
      color: 'error',
      icon: 'i-lucide-circle-alert',
      duration: 8_000,
    });
  }

  /** Does something and shows its failure. */
  async function attempt(title: string, action: () => Promise<unknown>): Promise<boolean> {
    try {
      await action();
      return true;
    } catch (error) {
      show(error, title);
      return false;
    }
  }

  return { show, attempt };
}
