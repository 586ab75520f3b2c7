import { defineStore } from 'pinia';
import { computed, shallowRef } from 'vue';
import type { Task } from '../../electron/contract/tasks.ts';
import { link } from '../link/link.ts';

/** Long work that goes on in the app, newest first. */
export const useTasksStore = defineStore('tasks', () => {
  const tasks = shallowRef<Task[]>([]);
  link.whileOpen(async (client, signal) => {
    for await (const next of client.tasks.watch(signal)) tasks.value = next;
  });
  const running = computed(() => tasks.value.filter((task) => task.state === 'running'));
  const cancel = (id: string) => link.client.tasks.cancel(id);
  const clear = () => link.client.tasks.clear();
  return { tasks, running, cancel, clear };
});
