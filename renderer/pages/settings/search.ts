import { computed, type InjectionKey, inject, provide, type Ref, ref } from 'vue';

const QUERY: InjectionKey<Ref<string>> = Symbol('the search over all settings');
const SECTION: InjectionKey<() => string> = Symbol('the title of the section');

/** What is typed into the page's search field. */
export function provideQuery(): Ref<string> {
  const query = ref('');
  provide(QUERY, query);
  return query;
}

export function provideSection(title: () => string): void {
  provide(SECTION, title);
}

/** Does one of these words, or the section's title, contain what is searched for? */
export function useFound(words: () => (string | undefined)[]) {
  const query = inject(QUERY, ref(''));
  const section = inject(SECTION, () => '');
  return computed(() => {
    const wanted = query.value.trim().toLowerCase();
    return [section(), ...words()].some((text) => text?.toLowerCase().includes(wanted));
  });
}
