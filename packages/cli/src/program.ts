/** The command tree. */
import { type Argument, Command, Option } from 'commander'
import { addCommonOptions, wholeNumber } from './command.ts'
import { addArtifactCommands } from './commands/artifact.ts'
import { addBlobCommands } from './commands/blob.ts'
import { addCompletion } from './commands/completion.ts'
import { addLabelCommands } from './commands/label.ts'
import { addLogin } from './commands/login.ts'
import { addNamespaceCommands } from './commands/namespace.ts'
import { addPublish } from './commands/publish.ts'
import { addStatus } from './commands/status.ts'
import { addUploadCommands } from './commands/upload.ts'
import { addVersion } from './commands/version.ts'
import { version } from './version.ts'

/** `<name>`, `[source...]`. */
const argumentTerm = (argument: Argument): string => {
  const name = `${argument.name()}${argument.variadic ? '...' : ''}`
  return argument.required ? `<${name}>` : `[${name}]`
}

/** Makes the whole tree; nothing is run yet. */
export const createProgram = (): Command => {
  const program = new Command('holdfast')
    .description('Upload, download and manage artifacts on a Holdfast or Shaken Fist server.')
    .version(version, '--version', 'print the version')
    .helpOption('-h, --help', 'explain a command')
    .showHelpAfterError('(--help says more)')
    .configureOutput({ outputError: (text, write) => write(text.replace(/^error: /, 'holdfast: ')) })
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
      new Option('--async-strategy <strategy>', 'accepted for compatibility')
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
  addArtifactCommands(program)
  addBlobCommands(program)
  addLabelCommands(program)
  addNamespaceCommands(program)
  addPublish(program)
  addUploadCommands(program)
  addLogin(program)
  addStatus(program)
  addCompletion(program)
  addVersion(program)
  return program
}
