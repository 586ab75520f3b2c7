import { createRouter, createWebHashHistory } from 'vue-router';

import ContainersPage from './pages/containers/ContainersPage.vue';
import ImagesPage from './pages/images/ImagesPage.vue';

/** In the order of the rail and of Ctrl/Cmd+1…9. `foot`: at the rail's foot. */
export const PAGES = [
  { name: 'containers', path: '/containers', icon: 'i-lucide-container', foot: false },
  { name: 'images', path: '/images', icon: 'i-lucide-layers', foot: false },
  { name: 'volumes', path: '/volumes', icon: 'i-lucide-database', foot: false },
  { name: 'networks', path: '/networks', icon: 'i-lucide-network', foot: false },
  { name: 'builds', path: '/builds', icon: 'i-lucide-hammer', foot: false },
  { name: 'activity', path: '/activity', icon: 'i-lucide-activity', foot: false },
  { name: 'settings', path: '/settings', icon: 'i-lucide-settings', foot: true },
  { name: 'troubleshoot', path: '/troubleshoot', icon: 'i-lucide-life-buoy', foot: true },
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
    { path: '/images/:id', name: 'image', component: () => import('./pages/images/ImagePage.vue'), props: true },
    { path: '/volumes', name: 'volumes', component: () => import('./pages/volumes/VolumesPage.vue') },
    { path: '/volumes/:name', name: 'volume', component: () => import('./pages/volumes/VolumePage.vue'), props: true },
    { path: '/networks', name: 'networks', component: () => import('./pages/networks/NetworksPage.vue') },
    {
      path: '/networks/:id',
      name: 'network',
      component: () => import('./pages/networks/NetworkPage.vue'),
      props: true,
    },
    { path: '/builds', name: 'builds', component: () => import('./pages/builds/BuildsPage.vue') },
    { path: '/builds/:id', name: 'build', component: () => import('./pages/builds/BuildPage.vue'), props: true },
    { path: '/activity', name: 'activity', component: () => import('./pages/activity/ActivityPage.vue') },
    { path: '/settings', name: 'settings', component: () => import('./pages/settings/SettingsPage.vue') },
    {
      path: '/troubleshoot',
      name: 'troubleshoot',
      component: () => import('./pages/troubleshoot/TroubleshootPage.vue'),
    },
    { path: '/:rest(.*)*', redirect: '/containers' },
  ],
});
