import type { Command } from 'commander'
import { action, define } from '../command.ts'
import { version } from '../version.ts'

export const addVersion = (program: Command): void => {
  define(program, 'version', {
    description: 'Print the version of this program.',
    examples: ['version'],
  }).action(
    action(async (context) => {
      context.print(`holdfast/${version}`)
    }),
  )
}
