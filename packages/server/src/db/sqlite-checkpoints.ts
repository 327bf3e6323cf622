/**
 * When SQLite's log is brought into the database file, and when it begins anew.
 *
 * Copying happens in a thread of its own, beside those who read and write. A log of which everything has been copied is
 * begun anew by the next who writes; that one flushes the new head of the log before its own pages, in its own thread.
 * So that this is not the main thread, transactions are held up for a moment and the checkpoint thread writes first.
 * The same is done when the log has become large because somebody always writes: then the rest is copied in that pause.
 */
import { Worker } from 'node:worker_threads'
import type { CheckpointReply, CheckpointResult, CheckpointTask } from './sqlite-checkpoint-worker.ts'

/** Copying begins after so many changed rows; a commit counts for some, as it also changes pages of indexes. */
const changesBetween = 4000
const changesOfCommit = 5
/** Pages of 4 KiB in the log beyond which transactions wait for the log to begin anew. */
const largeLog = 16 * 1024

export interface CheckpointOptions {
  readonly path: string
  /** Runs `work` when no transaction is under way and all are durable; none begins until it has ended. */
  readonly pause: (work: () => Promise<void>) => Promise<void>
  /** The log, or the database file, could not be written or flushed. */
  readonly onFailure: (error: Error) => void
}

export class Checkpoints {
  readonly #options: CheckpointOptions
  #worker: Worker | undefined
  #changes = 0
  #underWay: Promise<void> | undefined
  #isStopped = false

  constructor(options: CheckpointOptions) {
    this.#options = options
  }

  /** To be called after each commit, with the number of changed rows. */
  noteCommit(changes: number): void {
    this.#changes += changes + changesOfCommit
    if (this.#changes < changesBetween || this.#underWay || this.#isStopped) return
    this.#changes = 0
    this.#underWay = this.#checkpoint()
      .catch((error: Error) => {
        if (!this.#isStopped) this.#options.onFailure(error)
      })
      .finally(() => {
        this.#underWay = undefined
      })
  }

  /** No more of them; one under way is cut off, which harms nothing. */
  async stop(): Promise<void> {
    this.#isStopped = true
    await this.#worker?.terminate()
    await this.#underWay
  }

  async #checkpoint(): Promise<void> {
    const { pages, merged } = await this.#ask('merge')
    if (pages > 0 && (pages === merged || pages > largeLog) && !this.#isStopped)
      await this.#options.pause(async () => void (await this.#ask('restart')))
  }

  #ask(task: CheckpointTask): Promise<CheckpointResult> {
    this.#worker ??= this.#start()
    const worker = this.#worker
    return new Promise((resolve, reject) => {
      const settle = (act: () => void) => {
        worker.off('message', onReply).off('error', onDeath).off('exit', onDeath)
        worker.unref()
        act()
      }
      const onReply = (reply: CheckpointReply) =>
        settle(() => ('failure' in reply ? reject(new Error(`SQLite: ${reply.failure}`)) : resolve(reply)))
      const onDeath = (reason: unknown) =>
        settle(() => {
          this.#worker = undefined
          reject(new Error('the checkpoint thread ended', { cause: reason }))
        })
      worker.on('message', onReply).on('error', onDeath).on('exit', onDeath)
      worker.ref()
      worker.postMessage(task)
    })
  }

  #start(): Worker {
    // Flags that the process was started with may not fit a thread's file (`--input-type`, say).
    const worker = new Worker(new URL('./sqlite-checkpoint-worker.ts', import.meta.url), {
      workerData: { path: this.#options.path },
      execArgv: [],
    })
    worker.unref()
    return worker
  }
}
