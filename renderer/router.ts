import { createRouter, createWebHashHistory } from 'vue-router';
import ContainerPage from './pages/ContainerPage.vue';
import ContainersPage from './pages/ContainersPage.vue';
import ImagesPage from './pages/ImagesPage.vue';
import SettingsPage from './pages/SettingsPage.vue';

/** In the order of the rail and of Ctrl/Cmd+1…9. `foot`: at the rail's foot. */
export const PAGES = [
  { name: 'containers', path: '/containers', icon: 'i-lucide-container', foot: false },
  { name: 'images', path: '/images', icon: 'i-lucide-layers', foot: false },
  { name: 'settings', path: '/settings', icon: 'i-lucide-settings', foot: true },
] as const;

export const router = createRouter({
  history: createWebHashHistory(),
  routes: [
    { path: '/containers', name: 'containers', component: ContainersPage },
    { path: '/containers/:id', name: 'container', component: ContainerPage, props: true },
    { path: '/images', name: 'images', component: ImagesPage },
    { path: '/settings', name: 'settings', component: SettingsPage },
    { path: '/:rest(.*)*', redirect: '/containers' },
  ],
});
