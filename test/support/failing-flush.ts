/**
 * Loaded into a server under test before its own modules: the test says how many of the next flushes of uploads' data
 * fail, as they do on a dying disk.
 */
import { open, readlink } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { isMainThread } from 'node:worker_threads'

/** What a test asks. The reply is the same message. */
export interface FailFlushes {
  readonly failFlushes: number
}

let left = 0

if (isMainThread) {
  const handle = await open(fileURLToPath(import.meta.url))
  const prototype = Object.getPrototypeOf(handle) as typeof handle
  await handle.close()
  const flush = prototype.datasync
  prototype.datasync = async function () {
    const isUpload = (await readlink(`/proc/self/fd/${this.fd}`)).endsWith('.data')
    if (!isUpload || left === 0) return flush.call(this)
    left--
    throw Object.assign(new Error('EIO: i/o error, fdatasync'), { code: 'EIO', syscall: 'fdatasync' })
  }
  process.on('message', (message: FailFlushes) => {
    left = message.failFlushes
    process.send!(message)
  })
  // The test has ended without stopping its server.
  process.on('disconnect', () => process.exit())
  process.channel?.unref()
}
