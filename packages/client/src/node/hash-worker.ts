/**
 * The thread that hashes. It takes pieces of memory, or reads a file from where it stands up to where it is told,
 * so that neither reading nor hashing holds up the main thread. Messages are handled in order.
 */
import { createHash } from 'node:crypto'
import { readSync } from 'node:fs'
import { parentPort } from 'node:worker_threads'
import { pageMemory } from '@holdfast/api/page-memory'

export type HashOrder =
  | { readonly kind: 'bytes'; readonly bytes: Uint8Array }
  | { readonly kind: 'file'; readonly fd: number; readonly upTo: number }
  | { readonly kind: 'finish' }

export type HashNews =
  | { readonly kind: 'hashed'; readonly done: number }
  | { readonly kind: 'digest'; readonly sha512: string }
  /** The file is shorter than the order said. */
  | { readonly kind: 'short'; readonly at: number }
  | { readonly kind: 'failed'; readonly message: string }

const MiB = 1024 * 1024
const newsEvery = 8 * MiB

const port = parentPort!
const hash = createHash('sha512')
let buffer: Buffer | undefined
let done = 0

const tell = (news: HashNews) => port.postMessage(news)

const readFile = (fd: number, upTo: number): void => {
  buffer ??= Buffer.from(pageMemory(MiB))
  let told = done
  while (done < upTo) {
    const length = readSync(fd, buffer, 0, Math.min(buffer.length, upTo - done), done)
    if (length === 0) {
      tell({ kind: 'short', at: done })
      return
    }
    hash.update(buffer.subarray(0, length))
    done += length
    if (done - told >= newsEvery || done === upTo) {
      tell({ kind: 'hashed', done })
      told = done
    }
  }
}

port.on('message', (order: HashOrder) => {
  try {
    if (order.kind === 'finish') tell({ kind: 'digest', sha512: hash.digest('hex') })
    else if (order.kind === 'file') readFile(order.fd, order.upTo)
    else {
      hash.update(order.bytes)
      done += order.bytes.length
      tell({ kind: 'hashed', done })
    }
  } catch (error) {
    tell({ kind: 'failed', message: error instanceof Error ? error.message : String(error) })
  }
})
