/** Runs a command line, and turns whatever ends it into words on standard error and an exit code. */
import { CommanderError } from 'commander'
import { type ExitCode, exitCodes } from './failures.ts'
import type { Host } from './host.ts'
import { interrupted } from './interrupt.ts'
import { createProgram } from './program.ts'

/** `holdfast help artifact list` is `holdfast artifact list --help`. */
const withoutHelpCommand = (words: readonly string[]): readonly string[] =>
  words[0] === 'help' ? [...words.slice(1), '--help'] : words

/** Runs the words after `holdfast`. Never throws. */
export const run = async (words: readonly string[], host: Host): Promise<ExitCode> => {
  const program = createProgram(host)
  try {
    await program.parseAsync(withoutHelpCommand(words), { from: 'user' })
    return exitCodes.done
  } catch (error) {
    // Commander has already said what is wrong with the command line
    if (error instanceof CommanderError) {
      const [, option = ''] = /unknown option '(--\w+)/.exec(error.message) ?? []
      if (program.options.some(({ long }) => long === option)) {
        host.stderr.write(`${option} belongs before the command: holdfast ${option} ... ${words[0]} ...\n`)
      }
      return error.exitCode === 0 ? exitCodes.done : exitCodes.usage
    }
    const { explain, rootOf } = await import('./explain.ts')
    const { exitCode, lines } = explain(error)
    host.stderr.write(`holdfast: ${lines.join('\n')}\n`)
    const root = rootOf(error)
    // After Ctrl-C anything may fail in any way; the reason is known
    const wantsStack = words.includes('--verbose') && !interrupted.aborted
    if (wantsStack && root instanceof Error) host.stderr.write(`${root.stack}\n`)
    return exitCode
  }
}
