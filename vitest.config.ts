import { defineConfig } from 'vitest/config';

// Modules of closed or old systems that were published in places a build machine cannot be sent to: asked for by name
// (npm run corpora), so that `npm test` leaves nothing out where it runs.
const corpora = process.env.LKM_CORPORA === '1';

export default defineConfig({
  test: {
    include: corpora ? ['test/corpora/**/*.test.ts'] : ['test/**/*.test.ts'],
    exclude: corpora ? [] : ['test/corpora/**'],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    pool: 'forks',
    maxWorkers: 2,
  },
});
