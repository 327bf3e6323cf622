/** `holdfast login`. */
import { randomUUID } from 'node:crypto'
import { rename, rm, writeFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import type { Command } from 'commander'
import { action, define } from '../command.ts'
import { UsageError } from '../failures.ts'
import { readSecret } from '../read-secret.ts'

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

export const addLogin = (program: Command): void => {
  define(program, 'login [url]', {
    description:
      'Check a key and remember it, with its server and namespace, in ~/.shakenfist (or --config FILE).',
    examples: [
      'login https://holdfast.example.com --namespace builds',
      'login http://127.0.0.1:13000 < key.txt',
    ],
    more: 'The key is asked for without showing it, or read from standard input.',
  })
    .option('--namespace <namespace>', 'who you are (default: system)')
    .action(
      action(async (context, given: string | undefined, { namespace: own }: { namespace?: string }) => {
        const { options } = context
        const environment = process.env
        const url = given ?? options.apiurl ?? environment.SHAKENFIST_API_URL
        if (!url) throw new UsageError("missing required argument 'url'")
        const namespace = own ?? options.namespace ?? (environment.SHAKENFIST_NAMESPACE || 'system')
        const known = options.key === '-' ? undefined : (options.key ?? environment.SHAKENFIST_KEY)
        const key = known || (await readSecret(`Key of the namespace ${namespace} at ${url}: `))
        const client = context.connect({ url, namespace, key })
        try {
          await client.token()
          const path = options.config ?? join(homedir(), '.shakenfist')
          const settings = { apiurl: client.base, key, namespace }
          await writeSecretFile(path, `${JSON.stringify(settings, null, 4)}\n`)
          context.note(`You are ${namespace} at ${client.base}. This is remembered in ${path}.`)
        } finally {
          client.close()
        }
      }),
    )
}
