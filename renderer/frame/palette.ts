import { ref } from 'vue';

/** Ctrl/Cmd+K and the rail's search button. */
export const paletteOpen = ref(false);
