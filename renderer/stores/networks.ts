import { defineStore } from 'pinia';
import { useLiveList } from './live-list.ts';

export const useNetworksStore = defineStore('networks', () =>
  useLiveList(
    (client) => client.networks.list(),
    ({ noun, action }) =>
      noun === 'network' || (noun === 'container' && /^(create|destroy|start|die|rename)$/.test(action)),
  ),
);
