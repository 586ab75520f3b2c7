import { defineStore } from 'pinia';
import { watch } from 'vue';
import { useLiveList } from './live-list.ts';
import { useTasksStore } from './tasks.ts';

export const useBuildsStore = defineStore('builds', () => {
  const list = useLiveList(
    (client) => client.builds.list(),
    ({ noun, action }) => noun === 'builder' || (noun === 'image' && (action === 'build' || action === 'tag')),
  );
  const tasks = useTasksStore();
  // A build that failed made no image, and so no event.
  watch(
    () =>
      tasks.tasks
        .filter((task) => task.kind === 'build')
        .map((task) => `${task.id} ${task.state} ${task.current}`)
        .join(),
    () => void list.refresh(),
  );
  return list;
});
