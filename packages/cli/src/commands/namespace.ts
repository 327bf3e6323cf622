/** `holdfast namespace`; keys are in a file of their own. */
import type { Command } from 'commander'
import { action, define, explainGroup } from '../command.ts'
import { UserError } from '../failures.ts'
import { json } from '../output/json.ts'
import { namespaceDetails, namespaceList, namespaceMetadata } from '../output/namespace.ts'
import { addMetadataCommands } from './metadata.ts'
import { addNamespaceKeys } from './namespace-keys.ts'
import { addNamespaceLimits } from './namespace-limits.ts'

export const fillNamespace = (namespace: Command): void => {
  explainGroup(namespace, 'namespace show builds')
  addListing(namespace)
  addLife(namespace)
  addNamespaceKeys(namespace)
  define(namespace, 'get-metadata <namespace>', {
    description: 'Show the metadata of a namespace.',
    examples: ['namespace get-metadata builds'],
  }).action(
    action(async (context, name: string) => {
      const client = await context.client()
      const text = namespaceMetadata(await client.namespaces.metadata.show(name), context.shape)
      if (text !== '') context.print(text)
    }),
  )
  addMetadataCommands(namespace, {
    argument: 'namespace',
    example: 'builds',
    routes: (client) => client.namespaces.metadata,
  })
  addTrusts(namespace)
  addNamespaceLimits(namespace)
}

const addListing = (namespace: Command): void => {
  define(namespace, 'list', {
    description: 'List your namespace and those that trust it.',
    examples: ['namespace list'],
  }).action(
    action(async (context) => {
      const client = await context.client()
      context.print(namespaceList(await client.namespaces.list(), context.shape))
    }),
  )
  define(namespace, 'show <namespace>', {
    description: 'Show a namespace: the names of its keys, its metadata, whom it trusts.',
    examples: ['namespace show builds'],
  }).action(
    action(async (context, name: string) => {
      const client = await context.client()
      context.print(namespaceDetails(await client.namespaces.show(name), context.shape))
    }),
  )
}

const addLife = (namespace: Command): void => {
  define(namespace, 'create <namespace>', {
    description: 'Create a namespace (only for the namespace system).',
    examples: ['namespace create builds'],
    more: 'It needs a key before anybody can use it: holdfast namespace add-key.',
  }).action(
    action(async (context, name: string) => {
      const client = await context.client()
      await client.namespaces.create({ namespace: name })
    }),
  )
  define(namespace, 'delete <namespace>', {
    description: 'Delete a namespace with all its artifacts (only for the namespace system).',
    examples: ['namespace delete builds'],
  }).action(
    action(async (context, name: string) => {
      const client = await context.client()
      await client.namespaces.delete(name)
    }),
  )
  define(namespace, 'clean', {
    description: 'Delete everything in a namespace, but not the namespace.',
    examples: ['namespace clean --confirm', 'namespace clean --confirm --namespace builds'],
  })
    .option('--confirm', 'yes, delete everything')
    .option(
      '--namespace <namespace>',
      'another namespace than your own (the namespace system must say which)',
    )
    .action(
      action(async (context, { confirm, namespace: name }: { confirm?: true; namespace?: string }) => {
        if (!confirm) throw new UserError('You must be sure. Use option --confirm.')
        const client = await context.client()
        const body = { confirm: true, namespace: name ?? null }
        // A server that also runs machines has these; others answer with nothing
        await client.call('deleteInstances', { body })
        await client.call('deleteNetworks', { body })
        await client.artifacts.deleteAll(name)
      }),
    )
}

const addTrusts = (namespace: Command): void => {
  const commands = [
    ['add-trust', 'Let another namespace act on what is in this one.', 'addTrust'],
    ['remove-trust', 'Take trust back.', 'removeTrust'],
  ] as const
  for (const [name, description, route] of commands) {
    define(namespace, `${name} <namespace> <trusted_namespace>`, {
      description,
      examples: [`namespace ${name} builds deployers`],
    }).action(
      action(async (context, truster: string, trusted: string) => {
        const client = await context.client()
        const view = await client.namespaces[route](truster, trusted)
        if (context.shape === 'json') context.print(json(view))
      }),
    )
  }
}
