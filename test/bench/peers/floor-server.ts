/**
 * `node floor-server.ts PORT DIRECTORY [check]`: sends files over bare sockets, without an HTTP framework, as fast as Node can:
 * the thread pool reads 1 MiB into one of two buffers while the other is sent. With `check` another thread reads 2 MiB at a time,
 * and makes their CRC-32 while the bytes are near, before they are sent. Of the sizes and numbers that were tried these are the fastest
 * (docs/decisions/0087-memory-from-the-border-of-a-page.md). Nobody who sends files from Node does less, so this is the floor for
 * those who do more.
 */

import { type FileHandle, open } from 'node:fs/promises'
import { createServer, type Socket } from 'node:net'
import { basename, join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { sharedPageMemory } from '@holdfast/api/page-memory'
import type { FloorReply, FloorRequest } from './floor-worker.ts'

const [port, directory, check] = process.argv.slice(2) as [string, string, string?]
const pieceSize = (check ? 2 : 1) * 1024 * 1024
const depth = 2

const reader = check ? new Worker(new URL('./floor-worker.ts', import.meta.url)) : undefined
const waiting: ((bytesRead: number) => void)[] = []
// Replies come in the order of the requests.
reader?.on('message', (bytesRead: FloorReply) => waiting.shift()!(bytesRead))

const readChecked = (file: FileHandle, buffer: Buffer, position: number) =>
  new Promise<{ buffer: Buffer; bytesRead: number }>((resolve) => {
    waiting.push((bytesRead) => resolve({ buffer, bytesRead }))
    reader!.postMessage({
      fd: file.fd,
      memory: buffer.buffer as SharedArrayBuffer,
      position,
    } satisfies FloorRequest)
  })

const write = (socket: Socket, bytes: Uint8Array): Promise<void> =>
  new Promise((resolve, reject) => socket.write(bytes, (error) => (error ? reject(error) : resolve())))

const sendFile = async (socket: Socket, file: FileHandle, from: number, buffers: Buffer[]): Promise<void> => {
  const { size } = await file.stat()
  const status =
    from > 0 ? `206 Partial Content\r\nContent-Range: bytes ${from}-${size - 1}/${size}` : '200 OK'
  socket.write(`HTTP/1.1 ${status}\r\nContent-Length: ${size - from}\r\n\r\n`)
  const reads: ReturnType<typeof readNext>[] = []
  const readNext = (buffer: Buffer, at: number) =>
    reader ? readChecked(file, buffer, at) : file.read(buffer, 0, pieceSize, at)
  let next = from
  for (const buffer of buffers.slice(0, Math.ceil((size - from) / pieceSize))) {
    reads.push(readNext(buffer, next))
    next += pieceSize
  }
  for (let read = reads.shift(); read; read = reads.shift()) {
    const { buffer, bytesRead } = await read
    const bytes = buffer.subarray(0, bytesRead)
    await write(socket, bytes)
    if (next < size) reads.push(readNext(buffer, next))
    next += pieceSize
  }
}

/** One request and its reply after the other; requests have no bodies. */
const serve = async (socket: Socket): Promise<void> => {
  const buffers = Array.from({ length: depth }, () => Buffer.from(sharedPageMemory(pieceSize)))
  let head = ''
  for await (const chunk of socket) {
    head += chunk
    if (!head.endsWith('\r\n\r\n')) continue
    const target = head.split(' ')[1]!
    const from = Number(/^range: bytes=(\d+)-/im.exec(head)?.[1] ?? 0)
    head = ''
    const file = await open(join(directory, basename(target)))
    await sendFile(socket, file, from, buffers).finally(() => file.close())
  }
}

createServer((socket) => {
  socket.setNoDelay()
  socket.on('error', () => {})
  serve(socket).catch(() => socket.destroy())
}).listen(Number(port), '127.0.0.1')
