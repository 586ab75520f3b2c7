import { createRouter, createWebHashHistory } from 'vue-router';
import ContainersPage from './pages/containers/ContainersPage.vue';
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
    { path: '/containers/new', name: 'create-container', component: () => import('./pages/containers/CreatePage.vue') },
    {
      path: '/containers/:id/:tab?',
      name: 'container',
      component: () => import('./pages/containers/ContainerPage.vue'),
      props: true,
    },
    {
      path: '/projects/:project',
      name: 'project',
      component: () => import('./pages/containers/ProjectPage.vue'),
      props: true,
    },
    { path: '/images', name: 'images', component: ImagesPage },
    { path: '/settings', name: 'settings', component: SettingsPage },
    { path: '/:rest(.*)*', redirect: '/containers' },
  ],
});
