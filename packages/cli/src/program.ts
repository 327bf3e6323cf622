/** The command tree. */
import { type Argument, Command, Option } from 'commander'
import { addCommonOptions, wholeNumber } from './command.ts'
import type { Host } from './host.ts'
import { version } from './version.ts'

/** Fills in a command: its words, options, subcommands and what it does. */
type Fill = (command: Command, program: Program) => void

interface Entry {
  /** As `holdfast --help` shows it. */
  readonly description: string
  /** Loads the file of the command; only the one that is asked for is loaded. */
  readonly load: () => Promise<Fill>
}

/** Every word that may come first, in the order of the help. Arguments stand with the word that takes them. */
const entries: Readonly<Record<string, Entry>> = {
  artifact: {
    description: 'Artifacts: named files and their versions',
    load: async () => (await import('./commands/artifact.ts')).fillArtifact,
  },
  blob: {
    description: 'Blobs: the bytes behind versions',
    load: async () => (await import('./commands/blob.ts')).fillBlob,
  },
  label: {
    description: 'Labels: names for versions that you choose',
    load: async () => (await import('./commands/label.ts')).fillLabel,
  },
  namespace: {
    description: 'Namespaces, their keys and whom they trust',
    load: async () => (await import('./commands/namespace.ts')).fillNamespace,
  },
  'publish <source>': {
    description: 'Make a file or URL a version of an artifact and, if wanted, point a label at it.',
    load: async () => (await import('./commands/publish.ts')).fillPublish,
  },
  upload: {
    description: 'Uploads that are not finished',
    load: async () => (await import('./commands/upload.ts')).fillUpload,
  },
  'login [url]': {
    description: 'Check a key and remember it, with its server and namespace, in ~/.shakenfist.',
    load: async () => (await import('./commands/login.ts')).fillLogin,
  },
  status: {
    description: 'Show which server this is, who you are there, what it can do, and what you have there.',
    load: async () => (await import('./commands/status.ts')).fillStatus,
  },
  admin: {
    description: 'Housekeeping, verification and why blobs live or went (only for the namespace system)',
    load: async () => (await import('./commands/admin.ts')).fillAdmin,
  },
  completion: {
    description: 'Print the completion script of a shell.',
    load: async () => (await import('./commands/completion.ts')).fillCompletion,
  },
  version: {
    description: 'Print the version of this program.',
    load: async () => (await import('./commands/version.ts')).fillVersion,
  },
  '__complete [words...]': {
    description: '',
    load: async () => (await import('./commands/completion.ts')).fillComplete,
  },
}

/** The root, which knows where its commands are run, and fills them in when they are needed. */
export class Program extends Command {
  readonly host: Host
  readonly #waiting = new Map<Command, Entry>()

  constructor(host: Host) {
    super('holdfast')
    this.host = host
    this.hook('preSubcommand', (_, command) => this.#fill(command))
  }

  addEntry(words: string, entry: Entry): void {
    const command = this.command(words, { hidden: words.startsWith('__') })
    this.#waiting.set(command.description(entry.description), entry)
  }

  /** Loads every command: for completion, and for tests that walk the tree. */
  async fillAll(): Promise<void> {
    await Promise.all(this.commands.map((command) => this.#fill(command)))
  }

  async #fill(command: Command): Promise<void> {
    const entry = this.#waiting.get(command)
    this.#waiting.delete(command)
    const fill = await entry?.load()
    fill?.(command, this)
  }
}

/** `<name>`, `[source...]`. */
const argumentTerm = (argument: Argument): string => {
  const name = `${argument.name()}${argument.variadic ? '...' : ''}`
  return argument.required ? `<${name}>` : `[${name}]`
}

/** Makes the tree; nothing is run yet. */
export const createProgram = (host: Host): Program => {
  const program = new Program(host)
  program
    .description('Upload, download and manage artifacts on a Holdfast or Shaken Fist server.')
    .version(version, '--version', 'print the version')
    .helpOption('-h, --help', 'explain a command')
    // `holdfast help` is translated before this tree sees it: it could not explain what is not loaded
    .helpCommand(false)
    .showHelpAfterError('(--help says more)')
    .configureOutput({
      writeOut: (text) => host.stdout.write(text),
      writeErr: (text) => host.stderr.write(text),
      outputError: (text, write) => write(text.replace(/^error: /, 'holdfast: ')),
    })
    .configureHelp({
      subcommandTerm: (command) =>
        [command.name(), ...command.registeredArguments.map(argumentTerm)].join(' '),
    })
    .exitOverride()
    // The same words mean other things after a command: its own --namespace, for one
    .enablePositionalOptions()
    .option('--apiurl <url>', 'the server (or SHAKENFIST_API_URL)')
    .option('--namespace <namespace>', 'who you are (or SHAKENFIST_NAMESPACE)')
    .option('--key <key>', 'its key (or SHAKENFIST_KEY); - asks for it, or reads it from standard input')
    .option('--config <file>', 'read the three from this file (JSON with apiurl, namespace, key)')
    .option('--patience <seconds>', 'give up after so long without progress', wholeNumber(), 600)
    .addOption(
      new Option('--async-strategy, --async <strategy>', 'accepted for compatibility')
        .choices(['continue', 'pause', 'block'])
        .env('SHAKENFIST_ASYNC')
        .hideHelp(),
    )
  addCommonOptions(program, false).addHelpText(
    'after',
    `
Examples:
  $ holdfast login https://holdfast.example.com
  $ holdfast artifact upload debian debian-12.qcow2
  $ holdfast artifact list

Without --apiurl or --config, the server is taken from the environment, then from ~/.shakenfist, then from
/etc/sf/shakenfist.json. Every command explains itself with --help.`,
  )
  for (const [words, entry] of Object.entries(entries)) program.addEntry(words, entry)
  return program
}
