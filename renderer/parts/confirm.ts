import { shallowRef, watch } from 'vue';
import { link } from '../link/link.ts';

export interface Question {
  title: string;
  text: string;
  /** the button that does it */
  action: string;
}

/** The question that ConfirmDialog.vue shows now. */
export const question = shallowRef<(Question & { answer: (yes: boolean) => void }) | undefined>();

// What was asked about one engine must not be done to another.
watch(link.engine, () => question.value?.answer(false), { flush: 'sync' });

/** Asks once, before something is destroyed. */
export function confirm(asked: Question): Promise<boolean> {
  question.value?.answer(false);
  return new Promise((done) => {
    question.value = {
      ...asked,
      answer: (yes) => {
        question.value = undefined;
        done(yes);
      },
    };
  });
}
