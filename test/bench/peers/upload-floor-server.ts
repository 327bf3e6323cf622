/**
 * `node upload-floor-server.ts PORT DIRECTORY`: stores bodies as fast as Node can that are hashed and durable in the end, over bare
 * sockets and without an HTTP parser, rules or a record: the bytes of the socket are collected in eight slots of 1 MiB, which the thread
 * pool writes while a thread makes the SHA-512, and the file is flushed while it grows. Nobody who hashes what he stores from Node does
 * less, so this is the floor for those who do more.
 */

import { createHash, type Hash } from 'node:crypto'
import { type FileHandle, open } from 'node:fs/promises'
import { createServer, type Socket } from 'node:net'
import { basename, join } from 'node:path'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import { sharedPageMemory } from '@holdfast/api/page-memory'

const slotSize = 1024 * 1024
const slotCount = 8
const flushEvery = 64 * slotSize

type ToHash = { slot: number; length: number } | 'end'

/** Hashes slots in the order of their messages, and answers each. */
const hashSlots = (memory: SharedArrayBuffer): void => {
  let hash: Hash = createHash('sha512')
  parentPort!.on('message', (message: ToHash) => {
    if (message === 'end') {
      parentPort!.postMessage(hash.digest('hex'))
      hash = createHash('sha512')
    } else {
      hash.update(new Uint8Array(memory, message.slot * slotSize, message.length))
      parentPort!.postMessage(message.slot)
    }
  })
}

/** Slots and the thread that hashes them. One is ready before a client comes, so that its start is not measured. */
class Hasher {
  readonly slots: Buffer[]
  readonly worker: Worker

  constructor() {
    const memory = sharedPageMemory(slotCount * slotSize)
    this.slots = Array.from({ length: slotCount }, (_, slot) =>
      Buffer.from(memory, slot * slotSize, slotSize),
    )
    this.worker = new Worker(new URL(import.meta.url), { workerData: memory })
  }
}

/** One connection, on which one body follows the other. */
class Receiver {
  readonly #socket: Socket
  readonly #slots: Buffer[]
  readonly #worker: Worker
  readonly #free = Array.from({ length: slotCount }, (_, slot) => slot)
  /** How often each slot is still needed: by the file, by the hash. */
  readonly #uses: number[] = Array.from({ length: slotCount }, () => 0)
  #file: FileHandle | undefined
  #flush: Promise<unknown> = Promise.resolve()
  #isFlushing = false
  #flushedAt = 0
  #slot: number | undefined
  #filled = 0
  #at = 0
  #left = 0
  #waiting: Buffer[] = []
  #onSettled: (() => void) | undefined
  #onDigest: ((digest: string) => void) | undefined

  constructor(socket: Socket, hasher: Hasher) {
    this.#socket = socket
    this.#slots = hasher.slots
    this.#worker = hasher.worker
    const onMessage = (done: number | string) =>
      typeof done === 'string' ? this.#onDigest?.(done) : this.#release(done)
    this.#worker.on('message', onMessage)
    socket.on('data', (chunk) => this.#receive(chunk as Buffer))
    socket.on('error', () => {})
    socket.on('close', () => {
      this.#worker.off('message', onMessage)
      if (this.#free.length === slotCount) idle.push(hasher)
      else void hasher.worker.terminate()
    })
  }

  #receive(chunk: Buffer): void {
    if (this.#file || this.#waiting.length > 0) {
      this.#store(chunk)
      return
    }
    // The load generator sends a head in one piece, and the body after it.
    const end = chunk.indexOf('\r\n\r\n') + 4
    const head = chunk.toString('latin1', 0, end)
    this.#left = Number(/^content-length: (\d+)/im.exec(head)?.[1] ?? 0)
    this.#waiting.push(chunk.subarray(end))
    this.#socket.pause()
    void open(join(process.argv[3]!, basename(head.split(' ')[1]!)), 'w').then((file) => {
      this.#file = file
      this.#at = 0
      this.#flushedAt = 0
      this.#resume()
      // A body of no bytes, or one that came with its head.
      if (this.#left === 0) void this.#finish()
    })
  }

  #resume(): void {
    while (this.#waiting.length > 0) {
      const chunk = this.#waiting.shift()!
      const taken = this.#fill(chunk)
      if (taken < chunk.length) {
        this.#waiting.unshift(chunk.subarray(taken))
        return
      }
    }
    this.#socket.resume()
  }

  #store(chunk: Buffer): void {
    const taken = this.#waiting.length > 0 ? 0 : this.#fill(chunk)
    if (taken === chunk.length) return
    this.#waiting.push(chunk.subarray(taken))
    this.#socket.pause()
  }

  /** Copies what the slots have room for, and tells how much. */
  #fill(chunk: Buffer): number {
    let from = 0
    while (from < chunk.length) {
      this.#slot ??= this.#free.pop()
      if (this.#slot === undefined) return from
      // A part of the source: only that is copied in one go into shared memory
      const length = Math.min(chunk.length - from, slotSize - this.#filled)
      const target = this.#slots[this.#slot]!
      target[this.#filled] = chunk[from]!
      chunk.copy(target, this.#filled + 1, from + 1, from + length)
      this.#filled += length
      this.#left -= length
      from += length
      if (this.#filled === slotSize || this.#left === 0) this.#send()
      if (this.#left === 0) void this.#finish()
    }
    return from
  }

  #send(): void {
    const slot = this.#slot!
    const length = this.#filled
    const at = this.#at
    this.#slot = undefined
    this.#filled = 0
    this.#at += length
    this.#uses[slot] = 2
    this.#worker.postMessage({ slot, length } satisfies ToHash)
    const file = this.#file!
    void file.write(this.#slots[slot]!, 0, length, at).then(() => {
      this.#release(slot)
      if (this.#isFlushing || this.#at - this.#flushedAt < flushEvery) return
      this.#isFlushing = true
      this.#flushedAt = this.#at
      this.#flush = file.datasync().finally(() => {
        this.#isFlushing = false
      })
    })
  }

  #release(slot: number): void {
    this.#uses[slot]!--
    if (this.#uses[slot] !== 0) return
    this.#free.push(slot)
    if (this.#waiting.length > 0 && this.#file) this.#resume()
    if (this.#free.length === slotCount) this.#onSettled?.()
  }

  async #finish(): Promise<void> {
    const file = this.#file!
    const digest = new Promise<string>((resolve) => {
      this.#onDigest = resolve
    })
    this.#worker.postMessage('end' satisfies ToHash)
    if (this.#free.length < slotCount)
      await new Promise<void>((resolve) => {
        this.#onSettled = resolve
      })
    this.#onSettled = undefined
    await this.#flush
    await file.datasync()
    await file.close()
    this.#file = undefined
    this.#socket.write(`HTTP/1.1 201 Created\r\nETag: "${await digest}"\r\nContent-Length: 0\r\n\r\n`)
  }
}

const idle: Hasher[] = []
if (isMainThread) {
  idle.push(new Hasher())
  createServer({ noDelay: true }, (socket) => new Receiver(socket, idle.pop() ?? new Hasher())).listen(
    Number(process.argv[2]),
    '127.0.0.1',
  )
} else {
  hashSlots(workerData as SharedArrayBuffer)
}
