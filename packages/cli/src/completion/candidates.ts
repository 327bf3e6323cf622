/** What may come next in a half-written command line. */
import type { Command, Option } from 'commander'

/** What a word may be, by the name of the argument it stands for. */
export type Kind = 'artifact' | 'blob' | 'label' | 'namespace' | 'upload' | 'file'

export interface Candidates {
  readonly words: readonly string[]
  /** Things on the server, or files, that fit as well. */
  readonly kind?: Kind
}

const kinds: Readonly<Record<string, Kind>> = {
  artifact_ref: 'artifact',
  blob_uuid: 'blob',
  hash: 'blob',
  label: 'label',
  namespace: 'namespace',
  trusted_namespace: 'namespace',
  source: 'file',
  destination: 'file',
  file: 'file',
}

/** `uuid` means another thing in each group. */
const kindOf = (command: Command, argument: string): Kind | undefined => {
  if (argument === 'uuid') return command.parent?.name() === 'upload' ? 'upload' : 'blob'
  return kinds[argument]
}

const findOption = (command: Command, word: string): Option | undefined =>
  command.options.find((option) => option.long === word || option.short === word)

const takesValue = (option: Option): boolean => option.required || option.optional

/** The name of an option's value, from `--config <file>`. */
const valueName = (option: Option): string => option.flags.match(/[<[]([\w-]+)/)?.[1] ?? ''

const withPrefix = (words: readonly string[], prefix: string): string[] =>
  words.filter((word) => word.startsWith(prefix))

/** `words` are those before the one under the cursor, `current` is that one as far as it is written. */
export const candidatesFor = (program: Command, words: readonly string[], current: string): Candidates => {
  let command = program
  let position = 0
  let pending: Option | undefined
  for (const word of words) {
    if (pending !== undefined) pending = undefined
    else if (word.startsWith('-') && word !== '-') {
      const option = findOption(command, word)
      if (option && takesValue(option)) pending = option
    } else {
      const next = position === 0 ? command.commands.find((child) => child.name() === word) : undefined
      if (next) command = next
      else position++
    }
  }
  if (pending) {
    const kind = kindOf(command, valueName(pending))
    return { words: withPrefix(pending.argChoices ?? [], current), ...(kind ? { kind } : {}) }
  }
  if (current.startsWith('-') && current !== '-') {
    const visible = command.createHelp().visibleOptions(command)
    return {
      words: withPrefix(
        visible.flatMap(({ long }) => (long ? [long] : [])),
        current,
      ),
    }
  }
  if (command.commands.length > 0 && position === 0) {
    const visible = command.createHelp().visibleCommands(command)
    return {
      words: withPrefix(
        visible.map((child) => child.name()),
        current,
      ),
    }
  }
  const args = command.registeredArguments
  const argument = args[Math.min(position, args.length - 1)]
  const isBeyond = position >= args.length && args.at(-1)?.variadic !== true
  if (argument === undefined || isBeyond) return { words: [] }
  const kind = kindOf(command, argument.name())
  return { words: withPrefix(argument.argChoices ?? [], current), ...(kind ? { kind } : {}) }
}
