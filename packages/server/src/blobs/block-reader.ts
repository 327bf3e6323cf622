import { availableParallelism } from 'node:os'
import { Worker } from 'node:worker_threads'
import type { SummedBytes } from './block-crcs.ts'
import type { BlockReply, BlockRequest } from './block-worker.ts'

/** Reads blocks of files together with the CRC-32 of each, on threads of its own. */
export interface BlockReader {
  /**
   * Fills `target` from `position`: fewer bytes only at the end of the file. The descriptor must stay open meanwhile. Rejects
   * when the system refuses, and when the thread ends; why is better asked by reading again.
   */
  read(fd: number, target: SharedBytes, position: number): Promise<SummedBytes>
  /** Ends the threads; what is under way is rejected. */
  close(): Promise<void>
}

export type SharedBytes = Uint8Array<SharedArrayBuffer>

/** What one download has under way stays on one thread. */
const maxQueue = 2

interface Thread {
  readonly worker: Worker
  readonly calls: Map<number, { resolve(read: SummedBytes): void; reject(error: Error): void }>
}

/**
 * Starts none of its threads before they are needed: each takes 10 MiB. By default one less than there are cores, which the
 * sending takes, between 1 and 4. `onCrash` is told when a thread died of a bug; another is started for the next read.
 */
export const createBlockReader = (
  maxThreads = Math.min(4, Math.max(1, availableParallelism() - 1)),
  onCrash: (error: Error) => void = () => {},
): BlockReader => {
  const threads = new Set<Thread>()
  let nextJob = 0
  let isClosed = false

  const start = (): Thread => {
    const worker = new Worker(new URL('./block-worker.ts', import.meta.url), { name: 'blocks', execArgv: [] })
    const thread: Thread = { worker, calls: new Map() }
    let cause: unknown
    worker.on('message', ({ job, read, error }: BlockReply) => {
      const call = thread.calls.get(job)
      thread.calls.delete(job)
      if (read) call?.resolve(read)
      else call?.reject(new Error(error))
    })
    worker.on('error', (error) => {
      cause = error
      onCrash(error as Error)
    })
    worker.on('exit', () => {
      threads.delete(thread)
      for (const call of thread.calls.values()) call.reject(new Error('a block thread ended', { cause }))
    })
    threads.add(thread)
    return thread
  }

  const choose = (): Thread => {
    let least: Thread | undefined
    for (const thread of threads) if (!least || thread.calls.size < least.calls.size) least = thread
    const isFull = !least || (least.calls.size >= maxQueue && threads.size < maxThreads)
    return isFull ? start() : least!
  }

  return {
    read: (fd, target, position) =>
      new Promise((resolve, reject) => {
        if (isClosed) return reject(new Error('the block reader is closed'))
        const thread = choose()
        const job = nextJob++
        thread.calls.set(job, { resolve, reject })
        const { buffer, byteOffset, length } = target
        thread.worker.postMessage({ job, fd, buffer, byteOffset, length, position } satisfies BlockRequest)
      }),
    async close() {
      isClosed = true
      await Promise.all([...threads].map(({ worker }) => worker.terminate()))
    },
  }
}
