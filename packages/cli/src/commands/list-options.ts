/** The options with which lists are narrowed and sorted, where the server can do that. */
import type { CallInput, JsonRoute, Reply } from '@holdfast/client'
import type { NodeClient } from '@holdfast/client/node'
import { type Command, InvalidArgumentError } from 'commander'
import { wholeNumber } from '../command.ts'
import { UserError } from '../failures.ts'

type ListRoute = Extract<JsonRoute, 'listArtifacts' | 'listVersions' | 'listBlobs'>

/** What was asked for, under commander's names of the options. */
export interface ListOptions {
  readonly limit?: number
  readonly sort?: string
  readonly createdAfter?: number
  readonly metadata?: Readonly<Record<string, string>>
  readonly name?: string
  readonly type?: string
  readonly state?: string
  readonly namespace?: string
  readonly blob?: string
}

const time = (text: string): number => {
  const millis = Date.parse(text)
  if (Number.isNaN(millis))
    throw new InvalidArgumentError('say a time such as 2026-11-24 or 2026-11-24T10:00Z')
  return millis / 1000
}

const pair = (text: string, before: Record<string, string> = {}): Record<string, string> => {
  const [, key, value] = /^([^=]+)=(.*)$/s.exec(text) ?? []
  if (key === undefined) throw new InvalidArgumentError('say KEY=VALUE')
  return { ...before, [key]: value! }
}

/** Adds the options that all lists have. */
export const addListOptions = (command: Command, sorts: readonly string[]): Command =>
  command
    .addOption(
      command
        .createOption('--sort <field>', `by ${sorts.join(', ')}; with - before it the other way round`)
        .choices([...sorts, ...sorts.map((sort) => `-${sort}`)]),
    )
    .option('--limit <number>', 'at most so many', wholeNumber(1))
    .option('--created-after <time>', 'made after this time', time)

/** Adds `--metadata`, which may be given several times. */
export const addMetadataOption = (command: Command): Command =>
  command.option('--metadata <key=value>', 'with this metadata value; may be given several times', pair)

/** The largest page that servers answer. */
const pageSize = 1000

/**
 * A list as it was asked for. Without options it is the whole list, as any server answers it; with them the server must
 * have `paged-lists`, since another would overlook them and answer everything.
 */
export const readList = async <K extends ListRoute>(
  client: NodeClient,
  route: K,
  input: CallInput<K>,
  options: ListOptions,
): Promise<Reply<K>> => {
  const query = queryOf(options)
  const pages = client.pages as (route: K, input: object) => AsyncGenerator<readonly unknown[], void>
  const call = client.call as (route: K, input: object) => Promise<Reply<K>>
  if (Object.keys(query).length === 0 && options.limit === undefined) return call(route, input)
  if (!(await client.capabilities()).has('paged-lists'))
    throw new UserError(
      'this server cannot sort or narrow lists',
      'Without these options it answers the whole list; --json makes that easy to filter.',
    )
  const limit = options.limit ?? Number.POSITIVE_INFINITY
  const items: unknown[] = []
  for await (const page of pages(route, {
    ...input,
    query: { ...query, limit: Math.min(limit, pageSize) },
  })) {
    items.push(...page)
    if (items.length >= limit) break
  }
  return items.slice(0, limit) as Reply<K>
}

const queryOf = (options: ListOptions): Record<string, unknown> => {
  const { sort, createdAfter, metadata = {}, name, type, state, namespace, blob } = options
  const fields = {
    sort,
    created_after: createdAfter,
    name,
    type,
    state,
    namespace,
    blob_uuid: blob,
    ...Object.fromEntries(Object.entries(metadata).map(([key, value]) => [`metadata.${key}`, value])),
  }
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined))
}
