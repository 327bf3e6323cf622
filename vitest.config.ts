import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'

// As the programs do: the threads that tests start in great number then need not strip the types of every module.
process.env.NODE_COMPILE_CACHE ??= fileURLToPath(new URL('node_modules/.cache/holdfast', import.meta.url))

export default defineConfig({
  test: {
    include: [
      'packages/*/src/**/*.test.ts',
      'test/acceptance/**/*.test.ts',
      'test/backup/**/*.test.ts',
      'test/cli/**/*.test.ts',
      'test/docs/**/*.test.ts',
    ],
    testTimeout: 20_000,
    hookTimeout: 20_000,
    maxWorkers: 2,
  },
})
