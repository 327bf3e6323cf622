/** `holdfast admin usage` and `holdfast admin failures`. */
import type { Command } from 'commander'
import { action, define, wholeNumber } from '../command.ts'
import { json } from '../output/json.ts'
import { failureList, usageList } from '../output/store-usage.ts'

const day = 86_400
/** Of more days, an hour's sample will do; of still more, a day's. */
const spanOf = (days: number): number => (days <= 2 ? 0 : days <= 14 ? 3600 : day)

export const fillUsage = (parent: Command): void => {
  define(parent, 'usage', {
    description:
      'Show what the store holds, over time: stored and logical bytes, and what deduplication saved.',
    examples: ['admin usage', 'admin usage --days 90', '--json admin usage --days 3650'],
    more: 'Logical bytes are those of all versions, as if each were stored by itself.',
  })
    .option('--days <number>', 'how far back', wholeNumber(1), 1)
    .action(
      action(async (context, { days }: { days: number }) => {
        const client = await context.client()
        const query = { since: Math.max(0, Date.now() / 1000 - days * day), span: spanOf(days) }
        const usage = await client.call('showStoreUsage', { query })
        context.print(context.shape === 'json' ? json(usage) : usageList(usage, context.shape))
      }),
    )
  define(parent, 'failures', {
    description: 'List requests that failed of late: full disks, quotas, wrong keys, faults of the server.',
    examples: ['admin failures'],
    more: 'Equal ones are one line. The server keeps them until it is started anew; its log has them all.',
  }).action(
    action(async (context) => {
      const failures = await (await context.client()).call('listFailures')
      if (context.shape === 'json') return context.print(json(failures))
      if (failures.length === 0 && context.shape === 'pretty') return context.print('No request has failed.')
      context.print(failureList(failures, context.shape))
    }),
  )
}
