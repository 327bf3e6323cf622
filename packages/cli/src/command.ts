/** How commands are made: the options that all have, examples below the help, and a context for each run. */
import { type Command, InvalidArgumentError } from 'commander'
import { Context, type GlobalOptions } from './context.ts'
import { AdvisedError } from './failures.ts'
import type { Shape } from './output/shape.ts'
import type { Program } from './program.ts'

const shapes: Readonly<Record<Shape, string>> = {
  pretty: 'output for people (default)',
  simple: 'output for line-wise scripts',
  json: 'output for programs',
}

/** Adds the output options, of which the last one given counts. */
const addShapes = (command: Command, hidden: boolean): void => {
  for (const [shape, description] of Object.entries(shapes)) {
    const option = command.createOption(`--${shape}`, description).hideHelp(hidden)
    command.addOption(option).on(`option:${shape}`, () => command.setOptionValue('output', shape))
  }
}

/** Options that are understood before and after the words of a command. */
export const addCommonOptions = (command: Command, hidden: boolean): Command => {
  addShapes(command, hidden)
  return command
    .addOption(command.createOption('-q, --quiet', 'no progress and no notes').hideHelp(hidden))
    .addOption(command.createOption('--verbose', 'say more, and stacks of errors').hideHelp(hidden))
    .addOption(command.createOption('--no-verbose', 'say no more than needed').hideHelp())
}

const exampleText = (examples: readonly string[]): string => {
  const title = examples.length === 1 ? 'Example:' : 'Examples:'
  return ['', title, ...examples.map((example) => `  $ holdfast ${example}`)].join('\n')
}

interface HelpWords {
  /** Command lines shown below the help, without their `holdfast`. */
  readonly examples: readonly string[]
  /** Said below the examples. */
  readonly more?: string
}

interface Words extends HelpWords {
  /** What the command does, in a sentence. */
  readonly description: string
}

/** Fills in a command that does something: what all such have. */
export const explainCommand = (command: Command, { examples, more }: HelpWords): Command => {
  const text = `${exampleText(examples)}${more === undefined ? '' : `\n\n${more}`}`
  return addCommonOptions(command, true).addHelpText('after', text)
}

/** Fills in a group of commands, `holdfast artifact` for one. */
export const explainGroup = (command: Command, example: string): Command =>
  command.helpCommand(false).addHelpText('after', exampleText([example]))

/** A command of a group. Options are added by the caller. */
export const define = (parent: Command, nameAndArguments: string, words: Words): Command =>
  explainCommand(parent.command(nameAndArguments).description(words.description), words)

const programOf = (command: Command): Program => {
  let root = command
  while (root.parent) root = root.parent
  return root as Program
}

/** The program's own options, overruled by those given after the command. */
const globalOptions = (command: Command, program: Program): GlobalOptions => {
  const own = command.opts<Partial<GlobalOptions>>()
  const chosen = Object.fromEntries(
    (['output', 'quiet', 'verbose'] as const)
      .filter((name) => own[name] !== undefined && command.getOptionValueSource(name) !== 'default')
      .map((name) => [name, own[name]]),
  )
  return { ...program.opts<GlobalOptions>(), ...chosen }
}

/** A server that does not answer is named, with the place where its name came from. */
const withServer = async (context: Context, error: unknown): Promise<unknown> => {
  const { isUnreachable } = await import('./explain.ts')
  if (!isUnreachable(error)) return error
  const { url, source } = await context.config()
  return new AdvisedError(error, [`The server is ${url}, as set in: ${source}.`])
}

/** What commander calls: makes a context, and gives it up when the work is over, whichever way. */
export const action =
  <Args extends unknown[]>(work: (context: Context, ...args: Args) => Promise<void>) =>
  async (...all: unknown[]): Promise<void> => {
    const command = all.at(-1) as Command
    const program = programOf(command)
    await using context = new Context(globalOptions(command, program), program.host)
    try {
      await work(context, ...(all.slice(0, -1) as Args))
    } catch (error) {
      throw await withServer(context, error)
    }
  }

/** Parses a whole number from `least` up. */
export const wholeNumber =
  (least = 0) =>
  (value: string): number => {
    if (/^\d{1,15}$/.test(value) && Number(value) >= least) return Number(value)
    throw new InvalidArgumentError(`It must be a whole number, ${least} or more.`)
  }

/** The official pair of options; the last one given counts. */
export const addShared = (command: Command): Command =>
  command
    .option('--shared', 'share it with every namespace (only for the namespace system)')
    .addOption(command.createOption('--not-shared', 'do not share it (default)').hideHelp())
    .on('option:shared', () => command.setOptionValue('shared', true))
    .on('option:not-shared', () => command.setOptionValue('shared', false))
