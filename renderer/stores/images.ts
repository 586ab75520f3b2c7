import { defineStore } from 'pinia';
import { link } from '../link/link.ts';
import { useLiveList } from './live-list.ts';

export const useImagesStore = defineStore('images', () => {
  const list = useLiveList(
    (client) => client.images.list(),
    ({ noun, action }) => noun === 'image' || (noun === 'container' && (action === 'create' || action === 'destroy')),
  );

  /** Throws AppError: 'conflict' when a container uses it. */
  async function remove(reference: string): Promise<void> {
    await link.client.images.remove(reference, { force: false });
  }

  return { ...list, remove };
});
