/** `holdfast admin nodes` and `holdfast admin forget-node`. */
import type { Command } from 'commander'
import { action, define } from '../command.ts'
import { json } from '../output/json.ts'
import { nodeList } from '../output/nodes.ts'

export const fillNodes = (parent: Command): void => {
  define(parent, 'nodes', {
    description: 'List the servers that share this store, and whether they are there.',
    examples: ['admin nodes', '--json admin nodes'],
    more: 'A node that is gone keeps its unfinished uploads until it comes back or their time has come.',
  }).action(
    action(async (context) => {
      const nodes = await (await context.client()).call('listNodes')
      context.print(context.shape === 'json' ? json(nodes) : nodeList(nodes, context.shape))
    }),
  )
  define(parent, 'forget-node <name>', {
    description: 'Forget a node that will not come back, with the unfinished uploads that only it has.',
    examples: ['admin forget-node store-3'],
    more: 'Should it come back after all, it has to begin with an empty data directory.',
  }).action(
    action(async (context, name: string) => {
      const forgotten = await (await context.client()).call('forgetNode', { params: { node: name } })
      if (context.shape === 'json') context.print(json(forgotten))
      else if (context.shape === 'pretty') context.print(`Forgot ${name}.`)
    }),
  )
}
