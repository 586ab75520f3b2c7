import { ref, watch } from 'vue';
import type { Effect, Settings } from '../../../electron/contract/settings.ts';
import { AppError } from '../../../electron/rpc/client.ts';
import { link } from '../../link/link.ts';

/** What a change would take, asked of the app before it is made; `problem` when it would not be allowed. */
export function useEffectOf<K extends keyof Settings>(
  name: K,
  value: () => Settings[K] | undefined,
  refused: () => string,
) {
  const effect = ref<Effect>();
  const problem = ref('');

  watch(
    value,
    async (wanted) => {
      if (wanted === undefined) return;
      try {
        const found = await link.client.settings.effects({ [name]: wanted });
        if (value() !== wanted) return;
        effect.value = found[name];
        problem.value = '';
      } catch (error) {
        if (value() === wanted) problem.value = words(error, refused());
      }
    },
    { immediate: true },
  );

  return { effect, problem };
}

/** A value that is not allowed is said in the setting's own words. */
export function words(error: unknown, refused = ''): string {
  if (!(error instanceof AppError)) return String(error);
  return error.kind === 'invalid' && refused ? refused : [error.message, error.hint].filter(Boolean).join(' ');
}
