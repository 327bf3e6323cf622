/** Runs a command line, and turns whatever ends it into words on standard error and an exit code. */
import { CommanderError } from 'commander'
import { type ExitCode, exitCodes, explain, rootOf } from './failures.ts'
import { interrupted, watchSignals } from './interrupt.ts'
import { createProgram } from './program.ts'

const run = async (words: readonly string[]): Promise<ExitCode> => {
  try {
    await createProgram().parseAsync(words, { from: 'user' })
    return exitCodes.done
  } catch (error) {
    // Commander has already said what is wrong with the command line
    if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.done : exitCodes.usage
    // After Ctrl-C anything may fail in any way; the reason is known
    const { exitCode, lines } = explain(error)
    process.stderr.write(`holdfast: ${lines.join('\n')}\n`)
    const wantsStack = words.includes('--verbose')
    const root = rootOf(error)
    if (wantsStack && root instanceof Error && !interrupted.aborted) process.stderr.write(`${root.stack}\n`)
    return exitCode
  }
}

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
const exitCode = await run(process.argv.slice(2))
await Promise.all([flushed(process.stdout), flushed(process.stderr)])
// Standard input or an idle connection may keep the process alive; there is nothing left to do
process.exit(exitCode)
