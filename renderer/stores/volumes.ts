import { defineStore } from 'pinia';
import { useLiveList } from './live-list.ts';

export const useVolumesStore = defineStore('volumes', () =>
  useLiveList(
    (client) => client.volumes.list(),
    ({ noun, action }) => noun === 'volume' || (noun === 'container' && (action === 'create' || action === 'destroy')),
  ),
);
