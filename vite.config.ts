import { join } from 'node:path';
import ui from '@nuxt/ui/vite';
import vue from '@vitejs/plugin-vue';
import { defineConfig } from 'vite';

/** The window: renderer/ → dist/renderer/. Tests use none of it. */
export default defineConfig(
  process.env.VITEST
    ? {}
    : {
        root: join(import.meta.dirname, 'renderer'),
        base: '/',
        build: {
          outDir: join(import.meta.dirname, 'dist/renderer'),
          emptyOutDir: true,
          target: 'chrome120',
          // Nothing inlined: the page's policy allows no data: scripts or fonts.
          assetsInlineLimit: 0,
          modulePreload: { polyfill: false },
          chunkSizeWarningLimit: 1_500,
        },
        plugins: [
          vue(),
          ui({
            autoImport: false,
            components: false,
            // The theme is a setting of the app, applied by theme.ts.
            colorMode: false,
            // Every icon that a template names is bundled; nothing is fetched at run time.
            icon: { clientBundle: { scan: { globInclude: ['**/*.{vue,ts}'], globExclude: [] }, sizeLimitKb: 512 } },
            ui: { colors: { primary: 'teal', neutral: 'slate' } },
          }),
        ],
      },
);
