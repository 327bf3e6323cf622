/** The key commands of `holdfast namespace`. */
import type { Command } from 'commander'
import { action, define } from '../command.ts'
import type { Context } from '../context.ts'
import { UsageError } from '../failures.ts'

const more = `With - in place of the key, or without it, the key is asked for, or read from standard input. Keys in command
lines can be seen by everyone on the machine and stay in shell histories.`

const keyFrom = async (context: Context, given: string | undefined): Promise<string> => {
  if (given !== undefined && given !== '-') return given
  if (context.keyIsOnStdin) throw new UsageError('only one key can come from standard input')
  return await context.secret('New key: ')
}

export const addNamespaceKeys = (namespace: Command): void => {
  define(namespace, 'add-key <namespace> <keyname> [key]', {
    description: 'Add a key to a namespace, or replace the one with this name.',
    examples: ['namespace add-key builds ci -', 'namespace add-key builds ci - < key.txt'],
    more,
  }).action(
    action(async (context, name: string, keyName: string, given?: string) => {
      const key = await keyFrom(context, given)
      const client = await context.client()
      await client.namespaces.addKey(name, keyName, key)
    }),
  )
  define(namespace, 'update-key <namespace> <keyname> [key]', {
    description: 'Replace a key of a namespace. Tokens made with the old one end at once.',
    examples: ['namespace update-key builds ci -'],
    more,
  }).action(
    action(async (context, name: string, keyName: string, given?: string) => {
      const key = await keyFrom(context, given)
      const client = await context.client()
      await client.namespaces.replaceKey(name, keyName, key)
    }),
  )
  define(namespace, 'delete-key <namespace> <keyname>', {
    description: 'Delete a key of a namespace. Tokens made with it end at once.',
    examples: ['namespace delete-key builds ci'],
  }).action(
    action(async (context, name: string, keyName: string) => {
      const client = await context.client()
      await client.namespaces.deleteKey(name, keyName)
    }),
  )
}
