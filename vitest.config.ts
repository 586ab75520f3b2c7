import { defineConfig } from 'vitest/config';

/** Tests that use the machine as a whole run alone, one file at a time; a folder of test/ is a project. */
const whole = (name: string, seconds: number) => ({
  test: {
    name,
    include: [`test/${name}/**/*.test.ts`],
    fileParallelism: false,
    testTimeout: seconds * 1000,
    hookTimeout: 300_000,
    // They share the machine with whatever else it does. One that fails twice in a row fails; the report shows the second try.
    retry: 1,
  },
});

export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: 'unit',
          include: ['{engine,electron,renderer,resources,scripts}/**/*.test.ts'],
          testTimeout: 30_000,
        },
      },
      whole('images', 60),
      whole('engine', 60),
      whole('api', 60),
      whole('network', 60),
      whole('build', 60),
      whole('volumes', 60),
      whole('tunnel', 60),
      whole('window', 60),
      whole('machine', 180),
    ],
  },
});
