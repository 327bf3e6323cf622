/**
 * Compares metadata and files both ways. The store may be at work meanwhile: what looks wrong is looked at again before
 * it counts, and files get the grace period, because bytes come before their row and go after it.
 *
 * It compares names and sizes. Whether the bytes are the right ones is for verification to say, which reads them all.
 */
import { checkBlobs, checkDeletedBlobs } from './check-blobs.ts'
import { checkFiles } from './check-files.ts'
import { checkUploads } from './check-uploads.ts'
import type { CheckWork } from './faults.ts'

/** Checks, and repairs if asked to; what it finds is in the report, also when it throws. */
export const checkStore = async (work: CheckWork): Promise<void> => {
  await checkUploads(work)
  await checkDeletedBlobs(work)
  await checkBlobs(work)
  await checkFiles(work)
}
