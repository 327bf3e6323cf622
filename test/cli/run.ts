/** Runs the real command line as a process of its own, with a home of its own. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const launcher = fileURLToPath(new URL('../../packages/cli/bin/holdfast', import.meta.url))
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
  /** Home directory and working directory. */
  readonly home: string
  readonly environment: Readonly<Record<string, string>>
  /** Starts a command. */
  start(words: readonly string[], input?: Buffer | string): Running
  /** Runs a command to its end. */
  run(...words: string[]): Promise<Ended>
  remove(): Promise<void>
}

/** A place to run commands in, as one namespace of one server. */
export const makePlace = async (settings: Readonly<Record<string, string>> = {}): Promise<Place> => {
  const home = await mkdtemp(join(tmpdir(), 'holdfast-cli-'))
  const environment = { PATH: process.env.PATH ?? '', HOME: home, LANG: 'C.UTF-8', TZ: 'UTC', ...settings }
  const start = (words: readonly string[], input?: Buffer | string): Running => {
    const child = spawn(launcher, words, { cwd: home, env: environment })
    const timer = setTimeout(() => child.kill('SIGKILL'), timeoutMs)
    const out: Buffer[] = []
    const errors: Buffer[] = []
    child.stdout.on('data', (bytes: Buffer) => out.push(bytes))
    child.stderr.on('data', (bytes: Buffer) => errors.push(bytes))
    child.stdin.on('error', () => {}).end(input)
    const ended = once(child, 'close').then(([code, signal]) => {
      clearTimeout(timer)
      const bytes = Buffer.concat(out)
      return {
        code: (code ?? signal) as number | NodeJS.Signals,
        stdout: bytes.toString(),
        stderr: Buffer.concat(errors).toString(),
        bytes,
      }
    })
    return { child, ended }
  }
  return {
    home,
    environment,
    start,
    run: (...words) => start(words).ended,
    remove: () => rm(home, { recursive: true, force: true }),
  }
}
