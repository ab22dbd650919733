import { defineConfig } from 'vitest/config';

/**
 * Three projects, from fast to slow: `unit` (pure rules, beside the code), `integration` (real PostgreSQL and
 * LanceDB) and `stories` (the whole server as its users meet it). Two cores: two files at a time at most.
 */
export default defineConfig({
  test: {
    maxWorkers: 2,
    projects: [
      {
        test: {
          name: 'unit',
          include: ['{src,tools,bench}/**/*.test.ts'],
          exclude: ['**/*.integration.test.ts'],
        },
      },
      {
        test: {
          name: 'integration',
          include: ['{src,tools}/**/*.integration.test.ts'],
          globalSetup: ['test/harness/global-database.ts'],
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
      {
        test: {
          name: 'stories',
          include: ['test/**/*.test.ts'],
          globalSetup: ['test/harness/global-database.ts'],
          testTimeout: 120_000,
          hookTimeout: 120_000,
        },
      },
    ],
  },
});
