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
