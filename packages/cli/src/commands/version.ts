import type { Command } from 'commander'
import { action, explainCommand } from '../command.ts'
import { version } from '../version.ts'

export const fillVersion = (command: Command): void => {
  explainCommand(command, {
    examples: ['version'],
  }).action(
    action(async (context) => {
      context.print(`holdfast/${version}`)
    }),
  )
}
