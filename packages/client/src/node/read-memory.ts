/**
 * The memory that received bytes take up.
 *
 * Node puts every read from a socket into 64 KiB of fresh memory, and its HTTP parser hands out copies of the bodies
 * in it. Left to the garbage collector, which does not hurry with memory outside its own heap, both together take up
 * more than all the rest of a program that downloads. So they are given back as soon as nobody needs them.
 */
import type { Socket } from 'node:net'
import { giveBackPiece } from './read-buffers.ts'

/** The memory of what sockets read, as long as it lives. */
const reads = new WeakSet<ArrayBufferLike>()
/** Whether bodies are copies, as they are since Node 20. If they ever are views again, no read may be given back. */
let bodiesAreCopies = false

/** Gives the memory of bytes back, if it holds nothing else. Nobody may look at them afterwards. */
export const giveBack = (bytes: Uint8Array): void => {
  if (giveBackPiece(bytes)) return
  const { buffer, byteLength } = bytes
  if (buffer instanceof ArrayBuffer && buffer.byteLength === byteLength) buffer.transfer(0)
}

const noteRead = ({ buffer }: Uint8Array): void => {
  if (!bodiesAreCopies) reads.add(buffer)
}
const giveBackRead = (bytes: Uint8Array): void => {
  if (bodiesAreCopies) giveBack(bytes)
}

/** Gives back what a socket reads for a request, whose parser listens already: it has to be the first to see it. */
export const giveBackReads = (socket: Socket): void => {
  socket.off('data', noteRead).off('data', giveBackRead)
  socket.prependListener('data', noteRead)
  socket.on('data', giveBackRead)
}

/** Learns from a piece of a body what the parser does. */
export const learnFrom = (piece: Uint8Array): void => {
  bodiesAreCopies ||= !reads.has(piece.buffer)
}
