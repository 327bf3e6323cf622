import { runFetches } from '../fetch-artifact.ts'
import type { Job } from './job.ts'

/** Fetches artifacts from URLs as they become due. It looks as often as the shortest pause between two tries. */
export const runFetchesJob: Job = {
  name: 'run-fetches',
  everyNode: true,
  interval: (config) => Math.max(0.1, Math.min(config.jobInterval, config.fetchPause)),
  async run(parts, signal) {
    await runFetches(parts, signal)
    return {}
  },
}
