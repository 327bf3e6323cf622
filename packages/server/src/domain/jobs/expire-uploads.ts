import { expireUploads } from '../uploads.ts'
import type { Job } from './job.ts'

/** Removes uploads that have had no new data for `config.uploadExpiry`. */
export const expireUploadsJob: Job = {
  name: 'expire-uploads',
  interval: (config) => config.jobInterval,
  run: async (parts) => ({ expired: await expireUploads(parts) }),
}
