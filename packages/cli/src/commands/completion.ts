/** `holdfast completion`, and what the scripts call while one types. */
import type { NodeClient } from '@holdfast/client/node'
import type { Command } from 'commander'
import { action, explainCommand } from '../command.ts'
import { candidatesFor, type Kind } from '../completion/candidates.ts'
import { type ShellName, scripts, shells } from '../completion/scripts.ts'
import type { Program } from '../program.ts'

/** Nobody waits longer for a completion; without the server there are fewer candidates. */
const serverMs = 2000

const namesOf: Readonly<Record<Exclude<Kind, 'file'>, (client: NodeClient) => Promise<string[]>>> = {
  artifact: async (client) =>
    (await client.artifacts.list()).flatMap(({ name, uuid }) => (name ? [name, uuid] : [uuid])),
  blob: async (client) =>
    (await client.artifacts.list()).flatMap(({ blobs }) => Object.values(blobs).map(({ uuid }) => uuid)),
  label: async (client) =>
    (await client.artifacts.list({ type: 'label' }))
      .filter(({ artifact_type }) => artifact_type === 'label')
      .map(({ name }) => name),
  namespace: async (client) => (await client.namespaces.list()).map(({ name }) => name),
  upload: async (client) => (await client.uploads.list()).map(({ uuid }) => uuid),
}

const fromServer = async (client: Promise<NodeClient>, kind: Exclude<Kind, 'file'>): Promise<string[]> => {
  const late = new Promise<string[]>((resolve) => setTimeout(resolve, serverMs, []).unref())
  return await Promise.race([client.then(namesOf[kind]), late]).catch(() => [])
}

export const fillCompletion = (command: Command): void => {
  explainCommand(command, {
    examples: [
      'completion bash > ~/.local/share/bash-completion/completions/holdfast',
      'completion zsh > ~/.zfunc/_holdfast',
      'completion fish > ~/.config/fish/completions/holdfast.fish',
    ],
    more: 'To try it in this very shell: source <(holdfast completion bash)',
  })
    .addArgument(command.createArgument('<shell>', 'which shell').choices(shells))
    .action(action(async (context, shell: ShellName) => context.print(scripts[shell].trimEnd())))
}

/** What the scripts of all shells call. */
export const fillComplete = (command: Command, program: Program): void => {
  command.allowUnknownOption().action(
    action(async (context, words: string[]) => {
      await program.fillAll()
      const current = words.at(-1) ?? ''
      const { words: found, kind } = candidatesFor(program, words.slice(0, -1), current)
      const named = kind === undefined || kind === 'file' ? [] : await fromServer(context.client(), kind)
      const lines = [
        ...found,
        ...new Set(named.filter((name) => name.startsWith(current))),
        ...(kind === 'file' ? ['@files'] : []),
      ]
      if (lines.length > 0) context.print(lines.join('\n'))
    }),
  )
}
