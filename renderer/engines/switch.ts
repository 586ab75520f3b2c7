import { useRoute, useRouter } from 'vue-router';
import { PAGES } from '../pages.ts';
import { useProblems } from '../parts/problem.ts';
import { useEnginesStore } from '../stores/engines.ts';

/** The list that a page belongs to: what one engine has, another has not. */
export function listOf(path: string): string {
  return PAGES.find((page) => path.startsWith(page.path))?.path ?? '/containers';
}

/** Looks at another engine: its list of what was looked at. */
export function useEngineSwitch(): (id: string) => Promise<void> {
  const router = useRouter();
  const route = useRoute();
  const engines = useEnginesStore();
  const { attempt } = useProblems();
  return async (id) => {
    await router.push(listOf(route.path));
    const name = engines.engines.find((one) => one.id === id)?.name ?? '';
    await attempt(name, () => engines.choose(id));
  };
}
