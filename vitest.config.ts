import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['src/**/*.test.ts', 'test/**/*.test.ts'],
    testTimeout: 60_000,
    // Tests measure and compare on two cores at most; more workers would only make them wait for each other.
    maxWorkers: 2,
  },
});
