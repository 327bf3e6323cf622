/** `holdfast upload`: uploads in flight, one's own. */
import { isHoldfastError, type UploadView } from '@holdfast/client'
import type { NodeClient } from '@holdfast/client/node'
import type { Command } from 'commander'
import { action, define, explainGroup } from '../command.ts'
import { NotFoundError, UsageError } from '../failures.ts'
import { json } from '../output/json.ts'
import { localTime } from '../output/python.ts'
import { simpleRows, table } from '../output/table.ts'
import { runAll } from '../transfers/run-all.ts'
import { announce, upload } from '../transfers/upload.ts'

type Entry = Awaited<ReturnType<NonNullable<NodeClient['stateStore']>['list']>>[number]

/** What this machine remembers of uploads to this server in this namespace. */
export const recordsFor = async (client: NodeClient, namespace: string | undefined): Promise<Entry[]> => {
  // The base URL is known for certain after the first request
  await client.capabilities()
  const all = (await client.stateStore?.list()) ?? []
  return all.filter(({ record }) => record.server === client.base && record.login === (namespace ?? ''))
}

const rowOf = (view: UploadView, entry: Entry | undefined): unknown[] => [
  view.uuid,
  view.node,
  view.size,
  view.declared_size ?? '',
  localTime(view.last_data_at),
  localTime(view.expires_at),
  entry?.record.target.name ?? '',
  entry?.record.path ?? '',
]

export const fillUpload = (parent: Command): void => {
  explainGroup(parent, 'upload resume')
  define(parent, 'list', {
    description: 'List your unfinished uploads on the server, and the files they are of.',
    examples: ['upload list'],
  }).action(
    action(async (context) => {
      const client = await context.client()
      const uploads = await client.uploads.list()
      if (context.shape === 'json') return context.print(json(uploads))
      const records = await recordsFor(client, (await context.config()).namespace)
      const rows = uploads.map((view) =>
        rowOf(
          view,
          records.find(({ record }) => record.uploadUuid === view.uuid),
        ),
      )
      context.print(
        context.shape === 'simple'
          ? simpleRows('uuid,node,size,declared_size,last_data_at,expires_at,name,file', rows)
          : table(['uuid', 'node', 'size', 'of', 'last data', 'expires', 'name', 'file'], rows),
      )
    }),
  )
  define(parent, 'resume [uuid...]', {
    description: 'Continue interrupted uploads that were begun on this machine: these, or all.',
    examples: ['upload resume', 'upload resume 0b0e6d42-4f23-4bd5-b8cf-6de1a1b8f1a5'],
  }).action(
    action(async (context, uuids: string[]) => {
      const client = await context.client()
      const records = await recordsFor(client, (await context.config()).namespace)
      for (const uuid of uuids) {
        if (records.some(({ record }) => record.uploadUuid === uuid)) continue
        throw new NotFoundError(
          `this machine remembers no upload ${uuid} to ${client.base}`,
          'Continue it where it was begun, or upload the file again: what the server has is not sent twice.',
        )
      }
      const chosen = records.filter(({ record }) => uuids.length === 0 || uuids.includes(record.uploadUuid))
      if (chosen.length === 0) return context.note('There is nothing to continue.')
      const labelOf = ({ record }: Entry) => record.target.name
      // One after the other: they were interrupted because the line is bad
      await runAll(chosen, 1, context.signal, labelOf, async ({ record }) => {
        const { path, target } = record
        const label = chosen.length > 1 ? target.name : ''
        announce(context, await upload(context, { target, source: path, label }), label)
      })
    }),
  )
  define(parent, 'abort [uuid...]', {
    description: 'Give unfinished uploads up: what the server has of them is deleted.',
    examples: ['upload abort 0b0e6d42-4f23-4bd5-b8cf-6de1a1b8f1a5', 'upload abort --all'],
  })
    .option('--all', 'all of your unfinished uploads on this server, from other machines too')
    .action(
      action(async (context, given: string[], { all = false }: { all?: boolean }) => {
        if (all === given.length > 0) throw new UsageError('say which uploads, or --all')
        const client = await context.client()
        const records = await recordsFor(client, (await context.config()).namespace)
        const uuids = all ? (await client.uploads.list()).map(({ uuid }) => uuid) : given
        await runAll(uuids, 1, context.signal, String, async (uuid) => {
          const entry = records.find(({ record }) => record.uploadUuid === uuid)
          await client.uploads.delete(uuid).catch((error: unknown) => {
            // What only this machine still remembers can be forgotten all the same
            if (entry === undefined || !isHoldfastError(error, 'upload_not_found')) throw error
          })
          if (entry) await client.stateStore?.delete(entry.key)
          context.note(`Gave up upload ${uuid}`)
        })
        if (context.shape === 'json') context.print(json(uuids))
      }),
    )
}
