/** `holdfast admin`: for the namespace system. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { NodeClient } from '@holdfast/client/node'
import type { Command } from 'commander'
import { action, define, explainGroup } from '../command.ts'
import type { Context } from '../context.ts'
import { UserError } from '../failures.ts'
import {
  type Collection,
  collectionList,
  explanationText,
  type Job,
  jobList,
  type Quarantined,
  quarantineList,
  reportText,
} from '../output/admin.ts'
import { json } from '../output/json.ts'
import { fillBackup } from './admin-backup.ts'
import { fillNodes } from './admin-nodes.ts'
import { fillUsage } from './admin-usage.ts'
import { fillVerify } from './admin-verify.ts'

const exampleUuid = 'b817115a-8186-4c80-9cf0-f1ae460880ce'
const pageSize = 1000
/** Seconds that the server may wait before it says how far a run is. */
const waitSeconds = 10
const pollMs = 1000

/** Runs a job and waits for its end, however long that takes; the run goes on when nobody waits any more. */
const runJob = async (context: Context, client: NodeClient, name: string): Promise<Job> => {
  const asked = await client.call('runJob', { params: { job: name }, body: { wait: waitSeconds } })
  let job: Job = asked
  while (job.runs < asked.run) {
    await sleep(pollMs, undefined, { signal: context.signal })
    job = await client.call('showJob', { params: { job: name } })
    if (job.runs < asked.runs) throw new UserError('the server was started anew meanwhile; ask again')
  }
  return job
}

const printRun = async (context: Context, name: string): Promise<void> => {
  const job = await runJob(context, await context.client(), name)
  if (context.shape === 'json') context.print(json(job))
  const last = job.last_run
  if (last?.outcome !== 'done') throw new UserError(`${name} failed: ${last?.error ?? 'it was stopped'}`)
  if (context.shape === 'simple') context.print(jobList([job], 'simple'))
  if (context.shape === 'pretty') context.print(`${name}: ${reportText(last.report)}`)
}

/** The whole preview, a page at a time. */
const previewCollection = async (client: NodeClient): Promise<Collection> => {
  let whole: Collection | undefined
  let cursor: string | undefined
  do {
    const query = { limit: pageSize, ...(cursor === undefined ? {} : { cursor }) }
    const page = await client.page('previewCollection', { query })
    whole = { ...page.items, blobs: [...(whole?.blobs ?? []), ...page.items.blobs] }
    cursor = page.cursor
  } while (cursor !== undefined)
  return whole
}

const listQuarantine = async (client: NodeClient): Promise<Quarantined[]> => {
  const all: Quarantined[] = []
  let cursor: string | undefined
  do {
    const query = { limit: pageSize, ...(cursor === undefined ? {} : { cursor }) }
    const page = await client.page('listQuarantine', { query })
    all.push(...page.items)
    cursor = page.cursor
  } while (cursor !== undefined)
  return all
}

export const fillAdmin = (parent: Command): void => {
  explainGroup(parent, `admin explain ${exampleUuid}`)
  define(parent, 'jobs', {
    description: 'List the housekeeping jobs: when they ran, what they did, when they run next.',
    examples: ['admin jobs', '--json admin jobs'],
  }).action(
    action(async (context) => {
      const jobs = await (await context.client()).call('listJobs')
      context.print(context.shape === 'json' ? json(jobs) : jobList(jobs, context.shape))
    }),
  )
  define(parent, 'run <job>', {
    description: 'Run a housekeeping job now and wait for its end.',
    examples: ['admin run expire-uploads', 'admin run prune-history'],
    more: 'The names are those of `holdfast admin jobs`.',
  }).action(action((context, name: string) => printRun(context, name)))
  define(parent, 'collect', {
    description: 'Remove blobs that nothing refers to and nobody leases, once their grace period is over.',
    examples: ['admin collect --dry-run', 'admin collect'],
  })
    .option('--dry-run', 'only say which would go, which would stay for now, and why')
    .action(
      action(async (context, { dryRun = false }: { dryRun?: boolean }) => {
        if (!dryRun) return await printRun(context, 'collect-blobs')
        const preview = await previewCollection(await context.client())
        context.print(context.shape === 'json' ? json(preview) : collectionList(preview, context.shape))
      }),
    )
  define(parent, 'explain <blob_uuid>', {
    description: 'Say why a blob is alive, or when and why it was deleted.',
    examples: [`admin explain ${exampleUuid}`],
    more: 'Deleted blobs are explained as long as their history is kept.',
  }).action(
    action(async (context, uuid: string) => {
      const client = await context.client()
      const blob = await client.call('explainBlob', { params: { blob_uuid: uuid } })
      context.print(context.shape === 'json' ? json(blob) : explanationText(blob, context.shape))
    }),
  )
  fillVerify(parent, exampleUuid)
  define(parent, 'quarantine', {
    description: 'List the blobs whose stored bytes are damaged or missing.',
    examples: ['admin quarantine'],
    more: 'The same content, uploaded or fetched again, heals them.',
  }).action(
    action(async (context) => {
      const entries = await listQuarantine(await context.client())
      if (context.shape === 'json') return context.print(json(entries))
      if (entries.length === 0 && context.shape === 'pretty') return context.print('No blob is damaged.')
      context.print(quarantineList(entries, context.shape))
    }),
  )
  fillUsage(parent)
  fillNodes(parent)
  fillBackup(parent)
}
