/**
 * Runs command lines with a home of their own: inside the test's process, which costs milliseconds, or as the real
 * program in a process that can be killed.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough, Readable, type Writable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { run as runInside } from '../../packages/cli/src/run.ts'

const launcher = fileURLToPath(new URL('../../packages/cli/bin/holdfast', import.meta.url))
const compileCache = fileURLToPath(new URL('../../node_modules/.cache/holdfast', import.meta.url))
const timeoutMs = 30_000

export interface Ended {
  /** The exit code, or the signal that ended the process. */
  readonly code: number | NodeJS.Signals
  readonly stdout: string
  readonly stderr: string
  readonly bytes: Buffer
}

export interface Running {
  readonly child: ChildProcess
  readonly ended: Promise<Ended>
}

export interface Place {
  readonly home: string
  /** Runs a command to its end, inside this process; relative paths are of this process. */
  run(...words: string[]): Promise<Ended>
  /** The same, with standard input. */
  feed(input: Buffer | string, ...words: string[]): Promise<Ended>
  /** Runs a command as on a terminal of 100 columns; what is drawn there is `stderr`. */
  watch(...words: string[]): Promise<Ended>
  /** Starts the program, with `home` as its working directory. */
  start(words: readonly string[], input?: Buffer | string): Running
  remove(): Promise<void>
}

const endedWith = async (
  code: number | NodeJS.Signals,
  out: Promise<Buffer>,
  errors: Promise<Buffer>,
): Promise<Ended> => {
  const [bytes, stderr] = await Promise.all([out, errors])
  return { code, stdout: bytes.toString(), stderr: stderr.toString(), bytes }
}

/** A place to run commands in, as one namespace of one server. */
export const makePlace = async (settings: Readonly<Record<string, string>> = {}): Promise<Place> => {
  const home = await mkdtemp(join(tmpdir(), 'holdfast-cli-'))
  const environment = { PATH: process.env.PATH ?? '', HOME: home, LANG: 'C.UTF-8', TZ: 'UTC', ...settings }
  const inside = async (words: string[], input: Buffer | string, terminal = {}): Promise<Ended> => {
    const [stdout, stderr] = [new PassThrough(), Object.assign(new PassThrough(), terminal)]
    const [out, errors] = [buffer(stdout), buffer(stderr)]
    const host = {
      stdin: Readable.from([Buffer.from(input)], { objectMode: false }),
      stdout,
      stderr,
      environment,
    }
    const code = await runInside(words, host)
    for (const stream of [stdout, stderr] satisfies Writable[]) stream.end()
    return await endedWith(code, out, errors)
  }
  const start = (words: readonly string[], input?: Buffer | string): Running => {
    const env = { ...environment, NODE_COMPILE_CACHE: compileCache }
    const child = spawn(launcher, words, { cwd: home, env })
    const timer = setTimeout(() => child.kill('SIGKILL'), timeoutMs)
    const [out, errors] = [buffer(child.stdout), buffer(child.stderr)]
    child.stdin.on('error', () => {}).end(input)
    const ended = once(child, 'close').then(([code, signal]) => {
      clearTimeout(timer)
      return endedWith((code ?? signal) as number | NodeJS.Signals, out, errors)
    })
    return { child, ended }
  }
  return {
    home,
    start,
    run: (...words) => inside(words, ''),
    feed: (input, ...words) => inside(words, input),
    watch: (...words) => inside(words, '', { isTTY: true, columns: 100 }),
    remove: () => rm(home, { recursive: true, force: true }),
  }
}
