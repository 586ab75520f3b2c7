import { createRouter, createWebHashHistory } from 'vue-router';

import ContainersPage from './pages/containers/ContainersPage.vue';
import ImagesPage from './pages/images/ImagesPage.vue';

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
