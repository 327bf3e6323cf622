/** The command line as a process: signals, streams and the exit code; `run.ts` does the work. */
import { exitCodes } from './failures.ts'
import { watchSignals } from './interrupt.ts'
import { run } from './run.ts'

/** Node's exit code when nothing is left to wait for, and the command is not at its end. */
const stoppedHalfway = 13

/** Waits until a stream has passed on what it was given: pipes take it when their readers do. */
const flushed = (stream: NodeJS.WriteStream): Promise<void> =>
  new Promise((resolve) => {
    stream.write('', () => resolve())
  })

// `holdfast artifact list | head`: whoever reads has enough
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error
  process.exit(exitCodes.done)
})
process.on('exit', (code) => {
  if (code !== stoppedHalfway) return
  process.stderr.write('holdfast: this is a bug of holdfast: the command stopped half-way\n')
  process.exitCode = exitCodes.bug
})
watchSignals()
const exitCode = await run(process.argv.slice(2), {
  stdin: process.stdin,
  stdout: process.stdout,
  stderr: process.stderr,
  environment: process.env,
})
await Promise.all([flushed(process.stdout), flushed(process.stderr)])
// Standard input or an idle connection may keep the process alive; there is nothing left to do
process.exit(exitCode)
