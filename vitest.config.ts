import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'

// As the programs do: the threads that tests start in great number then need not strip the types of every module.
process.env.NODE_COMPILE_CACHE ??= fileURLToPath(new URL('node_modules/.cache/holdfast', import.meta.url))

/** Tests that start, kill and restart programs most of the time: for `npm run test:all`. */
const restarting = [
  'test/acceptance/process.test.ts',
  'test/backup/**/*.test.ts',
  'test/cli/interruptions.test.ts',
]

/** Tests that need an S3 server (TEST_S3_URL): also for `npm run test:all`. */
const needingS3 = ['packages/server/src/blobs/s3/{s3-store,part-sender}.test.ts', 'test/s3/**/*.test.ts']

/** Tests of several nodes, and of moving a store: they need PostgreSQL and S3 (TEST_POSTGRES_URL, TEST_S3_URL), and take no other form. */
const ofNodes = ['test/nodes/**/*.test.ts']
const ofMoving = ['test/migrate/**/*.test.ts']

// Ends a test that hangs. It judges no speed: a machine that runs several suites at once may take long for a start.
const testTimeout = 60_000

export default defineConfig({
  test: {
    testTimeout,
    hookTimeout: testTimeout,
    // Polls wait for something that a busy machine may be slow to do; the default is one second.
    expect: { poll: { timeout: 20_000 } },
    maxWorkers: 3,
    // Tests keep what they make to themselves, so files may share loaded modules: loading them anew took a third of the time.
    isolate: false,
    projects: [
      {
        extends: true,
        test: {
          name: 'main',
          include: ['packages/*/src/**/*.test.ts', 'test/{acceptance,cli,deploy,docs}/**/*.test.ts'],
          exclude: [...restarting, ...needingS3],
        },
      },
      { extends: true, test: { name: 'restarts', include: restarting } },
      { extends: true, test: { name: 's3', include: needingS3 } },
      // Need nginx and Caddy.
      { extends: true, test: { name: 'proxy', include: ['test/proxy/**/*.test.ts'] } },
      { extends: true, test: { name: 'nodes', include: ofNodes } },
      { extends: true, test: { name: 'migrate', include: ofMoving } },
    ],
  },
})
