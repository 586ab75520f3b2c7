import { shallowRef } from 'vue';

export interface Question {
  title: string;
  text: string;
  /** the button that does it */
  action: string;
}

/** The question that ConfirmDialog.vue shows now. */
export const question = shallowRef<(Question & { answer: (yes: boolean) => void }) | undefined>();

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
