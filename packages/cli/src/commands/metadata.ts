import type { NodeClient } from '@holdfast/client/node'
import type { Command } from 'commander'
import { action, define } from '../command.ts'
import { UserError } from '../failures.ts'

interface MetadataGroup {
  /** Name of the argument that says which object. */
  readonly argument: string
  readonly example: string
  /** The word by which a server says that it keeps metadata of these objects, where there is one. */
  readonly capability?: string
  routes(client: NodeClient): NodeClient['artifacts']['metadata']
}

/** Metadata, or none where the server keeps none. */
export const metadataOf = async (
  client: NodeClient,
  capability: string,
  read: () => Promise<Record<string, unknown>>,
): Promise<Record<string, unknown>> => ((await client.capabilities()).has(capability) ? await read() : {})

/** Adds `set-metadata` and `delete-metadata` to a group. */
export const addMetadataCommands = (parent: Command, group: MetadataGroup): void => {
  const { argument, example, capability } = group
  const kind = parent.name()
  const routesFor = async (client: NodeClient) => {
    if (capability !== undefined && !(await client.capabilities()).has(capability)) {
      throw new UserError(`this server keeps no metadata of ${kind}s`)
    }
    return group.routes(client)
  }
  define(parent, `set-metadata <${argument}> <key> <value>`, {
    description: 'Set one metadata value, a text.',
    examples: [`${kind} set-metadata ${example} os debian`],
  }).action(
    action(async (context, ref: string, key: string, value: string) => {
      const routes = await routesFor(await context.client())
      await routes.set(ref, key, value)
      if (context.shape === 'json') context.print('{}')
    }),
  )
  define(parent, `delete-metadata <${argument}> <key>`, {
    description: 'Delete one metadata value.',
    examples: [`${kind} delete-metadata ${example} os`],
  }).action(
    action(async (context, ref: string, key: string) => {
      const routes = await routesFor(await context.client())
      await routes.delete(ref, key)
      if (context.shape === 'json') context.print('{}')
    }),
  )
}
