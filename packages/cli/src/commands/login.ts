/** `holdfast login`. */
import { randomUUID } from 'node:crypto'
import { rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Command } from 'commander'
import { action, explainCommand } from '../command.ts'
import { UsageError } from '../failures.ts'
import { homeOf } from '../host.ts'

/** The file appears whole, and never with a mode that lets others read it. */
const writeSecretFile = async (path: string, text: string): Promise<void> => {
  const temporary = `${path}.${randomUUID()}`
  try {
    await writeFile(temporary, text, { mode: 0o600, flag: 'wx' })
    await rename(temporary, path)
  } catch (error) {
    await rm(temporary, { force: true })
    throw error
  }
}

export const fillLogin = (command: Command): void => {
  explainCommand(command, {
    examples: [
      'login https://holdfast.example.com --namespace builds',
      'login http://127.0.0.1:13000 < key.txt',
    ],
    more: 'The key is asked for without showing it, or read from standard input. With --config FILE, that file is written.',
  })
    .option('--namespace <namespace>', 'who you are (default: system)')
    .option('--key <key>', 'its key; without it, or with -, it is asked for or read from standard input')
    .action(
      action(async (context, given: string | undefined, own: { namespace?: string; key?: string }) => {
        const { options } = context
        const { environment } = context.host
        const url = given ?? options.apiurl ?? environment.SHAKENFIST_API_URL
        if (!url) throw new UsageError("missing required argument 'url'")
        const namespace = own.namespace ?? options.namespace ?? (environment.SHAKENFIST_NAMESPACE || 'system')
        const word = own.key ?? options.key
        const known = word === '-' ? undefined : (word ?? environment.SHAKENFIST_KEY)
        const key = known || (await context.secret(`Key of the namespace ${namespace} at ${url}: `))
        const client = await context.connect({ url, namespace, key })
        try {
          await client.token()
          const path = options.config ?? join(homeOf(context.host), '.shakenfist')
          const settings = { apiurl: client.base, key, namespace }
          await writeSecretFile(path, `${JSON.stringify(settings, null, 4)}\n`)
          context.note(`You are ${namespace} at ${client.base}. This is remembered in ${path}.`)
        } finally {
          client.close()
        }
      }),
    )
}
