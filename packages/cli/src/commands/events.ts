import type { EventFilter, EventView } from '@holdfast/client'
import type { NodeClient } from '@holdfast/client/node'
import type { Command } from 'commander'
import { action, define, wholeNumber } from '../command.ts'
import { eventList } from '../output/event.ts'

interface EventsOptions {
  readonly type?: string
  readonly limit?: number
}

/** Adds `events` to a group. */
export const addEvents = (
  parent: Command,
  argument: string,
  example: string,
  read: (client: NodeClient, ref: string, filter: EventFilter) => Promise<EventView[]>,
): void => {
  define(parent, `events <${argument}>`, {
    description: `Show the history of ${parent.name() === 'artifact' ? 'an artifact' : 'a blob'}, newest first.`,
    examples: [
      `${parent.name()} events ${example} --limit 10`,
      `${parent.name()} events ${example} --type audit`,
    ],
  })
    .option('-t, --type <type>', 'only events of this type: audit, mutate, status, usage, resources, prune')
    .option('-l, --limit <limit>', 'at most so many events (default: 100)', wholeNumber(1))
    .action(
      action(async (context, ref: string, { type, limit }: EventsOptions) => {
        const client = await context.client()
        context.print(eventList(await read(client, ref, { eventType: type, limit }), context.shape))
      }),
    )
}
