/**
 * The Web Worker that hashes. It takes pieces of memory, or a `Blob` that it reads by itself. Orders are carried out one
 * after the other.
 */
import { createSHA512 } from 'hash-wasm'

export type HashOrder =
  | { readonly kind: 'bytes'; readonly bytes: Uint8Array }
  | { readonly kind: 'blob'; readonly blob: Blob }
  | { readonly kind: 'finish' }

export type HashNews =
  | { readonly kind: 'hashed'; readonly done: number }
  | { readonly kind: 'digest'; readonly sha512: string }
  /** The blob's file was changed, moved or removed. */
  | { readonly kind: 'unreadable'; readonly message: string }
  | { readonly kind: 'failed'; readonly message: string }

const pieceBytes = 1024 * 1024

/** The little of a worker's global scope that is used here; the type libraries know only one global scope at a time. */
const scope = globalThis as unknown as {
  onmessage: (event: MessageEvent<HashOrder>) => void
  postMessage(news: HashNews): void
}

const starting = createSHA512()
let done = 0
/** Of `done`: streams come in many small pieces, and nobody needs to hear of each. */
let told = 0
let turn: Promise<unknown> = starting

const take = async (bytes: Uint8Array): Promise<void> => {
  const hash = await starting
  hash.update(bytes)
  done += bytes.length
  if (done - told >= pieceBytes) tell()
}

const tell = (): void => {
  told = done
  scope.postMessage({ kind: 'hashed', done })
}

/** By one buffer that goes back and forth: pieces of memory that are new each time would pile up until they are collected. */
const readByStream = async (reader: ReadableStreamBYOBReader): Promise<void> => {
  let buffer = new ArrayBuffer(pieceBytes)
  for (;;) {
    const { done, value } = await reader.read(new Uint8Array(buffer))
    if (done) return
    await take(value)
    buffer = value.buffer
  }
}

/** Where streams of blobs cannot fill a buffer. */
const readBySlices = async (blob: Blob): Promise<void> => {
  const read = (at: number) => blob.slice(at, at + pieceBytes).arrayBuffer()
  // The next piece is read while this one is hashed
  let next = read(0)
  for (let at = 0; at < blob.size; at += pieceBytes) {
    const bytes = new Uint8Array(await next)
    next = at + pieceBytes < blob.size ? read(at + pieceBytes) : next
    next.catch(() => {}) // seen where it is awaited
    await take(bytes)
  }
}

/** Undefined where the browser has none. */
const bufferReader = (blob: Blob): ReadableStreamBYOBReader | undefined => {
  try {
    return blob.stream().getReader({ mode: 'byob' })
  } catch {
    return undefined
  }
}

const readBlob = async (blob: Blob): Promise<void> => {
  try {
    const reader = bufferReader(blob)
    await (reader ? readByStream(reader) : readBySlices(blob))
  } catch (error) {
    scope.postMessage({ kind: 'unreadable', message: String(error) })
  }
}

const carryOut = async (order: HashOrder): Promise<void> => {
  if (order.kind === 'bytes') return await take(order.bytes)
  if (order.kind === 'blob') return await readBlob(order.blob)
  tell()
  scope.postMessage({ kind: 'digest', sha512: (await starting).digest('hex') })
}

scope.onmessage = ({ data }) => {
  turn = turn
    .then(() => carryOut(data))
    .catch((error: unknown) => scope.postMessage({ kind: 'failed', message: String(error) }))
}
