/** A server that is measured, whoever made it: how it is started, what it is sent, and how it ends. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import type { LoadRequest } from '../load.ts'

export interface Peer {
  readonly name: string
  /** Version, for the record. */
  readonly description: string
  /** The first of its processes. */
  readonly pid: number
  readonly port: number
  stop(): Promise<void>
}

/** Bytes of a file for one client to store. */
export interface Upload {
  readonly path: string
  readonly offset: number
  readonly length: number
  /** Bytes in one request at most. */
  readonly piece: number
  /** Unique in a run. */
  readonly name: string
}

/** A server that stores what it is sent. */
export interface UploadPeer extends Peer {
  /** Whether it takes a file in several bodies. */
  readonly takesPieces: boolean
  /** All that one client sends to store a file. */
  requests(upload: Upload): LoadRequest[]
  /** Removes what was stored, and waits until what that costs has been paid. */
  clean(): Promise<void>
}

const startTimeoutMs = 20_000

/** Starts a program and waits until something answers at the port. A program that ends instead is an error with its words. */
export const startPeer = async (
  name: string,
  port: number,
  [program, ...words]: readonly [string, ...string[]],
): Promise<{ pid: number; stop(): Promise<void> }> => {
  const child = spawn(program, words, { stdio: ['ignore', 'pipe', 'pipe'] })
  // An interrupted benchmark leaves no server behind.
  const abandon = () => void child.kill()
  process.once('exit', abandon)
  child.once('exit', () => process.off('exit', abandon))
  let output = ''
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (part: string) => (output = (output + part).slice(-2000)))
  await once(child, 'spawn').catch((error) => {
    throw new Error(`${name} cannot be started: ${error.message}`)
  })
  const deadline = Date.now() + startTimeoutMs
  while (!(await answers(port))) {
    if (hasEnded(child)) throw new Error(`${name} ended at its start:\n${output}`)
    if (Date.now() > deadline) {
      child.kill('SIGKILL')
      throw new Error(`${name} did not listen within ${startTimeoutMs} ms:\n${output}`)
    }
    await sleep(50)
  }
  return { pid: child.pid!, stop: () => end(child) }
}

const hasEnded = (child: ChildProcess): boolean => child.exitCode !== null || child.signalCode !== null

const end = async (child: ChildProcess): Promise<void> => {
  if (hasEnded(child)) return
  const ended = once(child, 'exit')
  child.kill()
  const timer = setTimeout(() => child.kill('SIGKILL'), startTimeoutMs)
  await ended
  clearTimeout(timer)
}

const answers = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    const settle = (outcome: boolean) => {
      socket.destroy()
      resolve(outcome)
    }
    socket.once('connect', () => settle(true)).once('error', () => settle(false))
  })

/** The pieces of an upload: where each begins in the upload, and its bytes in the file. */
export const piecesOf = ({ path, offset, length, piece }: Upload) =>
  Array.from({ length: Math.ceil(length / piece) }, (_, i) => ({
    at: i * piece,
    body: { path, offset: offset + i * piece, length: Math.min(piece, length - i * piece) },
  }))
