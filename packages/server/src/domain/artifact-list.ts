/**
 * Lists of artifacts, page by page.
 *
 * What a caller may see is scattered among everybody's artifacts, so no single index has it in order. A list is
 * therefore merged from sources that each have one: every namespace within reach, and the shared artifacts. A page
 * costs a few rows of each, however many artifacts others have.
 */
import type { ArtifactView } from '@holdfast/api/schemas'
import type { Expression, ExpressionBuilder, SqlBool } from 'kysely'
import { sql } from 'kysely'
import { deleted } from '../db/database.ts'
import type { ArtifactState, ArtifactType, Row, Schema } from '../db/schema.ts'
import type { Caller, Parts } from '../parts.ts'
import {
  type ArtifactColumn,
  type IndexedFilters,
  type IndexedValue,
  readArtifactPlaces,
  sourcesOf,
} from './artifact-places.ts'
import { artifactViews } from './artifact-view.ts'
import {
  type KeyRange,
  laterThan,
  type Order,
  orderOf,
  type Place,
  placesFrom,
  prefixRange,
  type SortBy,
  within,
} from './keyset.ts'
import { textDigest } from './listed-metadata.ts'
import type { Page, PageInput } from './page.ts'
import { mergePlaces, readPage } from './read-page.ts'
import { mayAct, type Reach, reachOf, readableArtifacts, type Sql } from './visibility.ts'

export type ArtifactSort = SortBy<ArtifactColumn>

/** Keys and the texts that ask for their values: a text itself, of anything else its JSON. */
export type MetadataFilter = readonly (readonly [key: string, text: string])[]

export interface ArtifactListInput extends PageInput {
  /** By default oldest first, or by name when `namePrefix` is given. */
  readonly sort?: ArtifactSort | undefined
  /** Only artifacts with a version whose bytes this node holds. */
  readonly node?: string | undefined
  readonly namePrefix?: string | undefined
  readonly type?: ArtifactType | undefined
  readonly namespace?: string | undefined
  /** Deleted artifacts are never listed, not even when asked for. */
  readonly state?: ArtifactState | undefined
  /** Milliseconds. */
  readonly createdAfter?: number | undefined
  readonly metadata?: MetadataFilter | undefined
  /** Only artifacts with a version that is this blob: labels that point at it, for one. */
  readonly blobUuid?: string | undefined
}

/** Live artifacts that the caller may see. */
export const listArtifacts = async (
  { db: { read } }: Pick<Parts, 'db'>,
  caller: Caller,
  input: ArtifactListInput,
): Promise<Page<ArtifactView>> => {
  const reach = await reachOf(read, caller)
  const sort = input.sort ?? (input.namePrefix ? 'name' : 'created_at')
  const order = orderOf<ArtifactColumn>('artifacts', sort, 'string')
  const sources = sourcesOf(reach, input.namespace)
  const filters = filtersOf(reach, order, input)
  const page = await readPage<Row<'artifacts'>>(
    {
      order,
      isFiltered: filters.rest.length > 0,
      async readPlaces(after, count) {
        if (filters.indexed.states.length === 0) return []
        if (input.blobUuid !== undefined)
          return readHolders(read, reach, order, filters, input.blobUuid, after, count)
        const found: (readonly Place[])[] = []
        for (const source of sources)
          found.push(await readArtifactPlaces(read, source, order, filters.indexed, after, count))
        return mergePlaces(order, found, count)
      },
      load: (places) => loadArtifacts(read, reach, places, filters.rest),
    },
    input,
  )
  return { ...page, items: await artifactViews(read, reach, page.items) }
}

type OnArtifacts = ExpressionBuilder<Schema, 'artifacts'>
type Condition = (eb: OnArtifacts) => Expression<SqlBool>

interface Filters {
  readonly indexed: IndexedFilters
  /** Tried on the rows themselves. */
  readonly rest: readonly Condition[]
}

const allTypes: readonly ArtifactType[] = ['image', 'snapshot', 'label', 'other']
const liveStates: readonly ArtifactState[] = ['initial', 'created', 'error']

const filtersOf = (reach: Reach, { column }: Order<ArtifactColumn>, input: ArtifactListInput): Filters => {
  const { namePrefix, createdAfter, type, state, namespace, node, metadata = [] } = input
  const values = metadata.map(([key, text]): IndexedValue => ({ key, digest: textDigest(text) }))
  // Who holds a blob is found by the blob; all else is then tried.
  const value = input.blobUuid === undefined ? values.shift() : undefined
  const triesType = value !== undefined || input.blobUuid !== undefined
  const rest: Condition[] = values.map((other) => (eb) => hasValue(eb, other))
  let range: KeyRange = {}
  if (namePrefix) {
    const names = prefixRange(namePrefix)
    if (column === 'name') range = names
    else rest.push(() => within(byName, { key: 'name', id: 'uuid' }, undefined, names))
  }
  if (createdAfter !== undefined) {
    if (column === 'created_at') range = laterThan(createdAfter)
    else rest.push((eb) => eb('created_at', '>', Math.floor(createdAfter)))
  }
  if (type && triesType) rest.push((eb) => eb('type', '=', type))
  if (state && triesType) rest.push((eb) => eb('state', '=', state))
  // Shared artifacts are in order for all namespaces together.
  if (namespace !== undefined && (input.blobUuid !== undefined || !mayAct(reach, namespace)))
    rest.push((eb) => eb('namespace', '=', namespace))
  if (node !== undefined) rest.push((eb) => holdsBytesOn(eb, node))
  const types = type ? [type] : allTypes
  const states = state ? liveStates.filter((one) => one === state) : liveStates
  return { indexed: { range, value, types, states }, rest }
}

const byName = orderOf('', 'name', 'string')

const hasValue = (eb: OnArtifacts, { key, digest }: IndexedValue) =>
  eb.exists(
    eb
      .selectFrom('metadata_values')
      .select('metadata_values.key')
      .where('metadata_values.object_type', '=', sql.lit('artifact'))
      .whereRef('metadata_values.object_uuid', '=', 'artifacts.uuid')
      .where('metadata_values.namespace', '=', '')
      .where('metadata_values.key', '=', key)
      .where('metadata_values.digest', '=', digest),
  )

const holdsBytesOn = (eb: OnArtifacts, node: string) =>
  eb.exists(
    eb
      .selectFrom('versions')
      .innerJoin('blobs', 'blobs.uuid', 'versions.blob_uuid')
      .select('versions.idx')
      .whereRef('versions.artifact_uuid', '=', 'artifacts.uuid')
      .where('versions.live', '=', 1)
      .where('blobs.node', '=', node),
  )

const loadArtifacts = async (
  read: Sql,
  reach: Reach,
  places: readonly Place[],
  rest: readonly Condition[],
): Promise<Map<Place['id'], Row<'artifacts'>>> => {
  if (places.length === 0) return new Map()
  const uuids = places.map(({ id }) => String(id))
  const rows = await read
    .selectFrom('artifacts')
    .selectAll()
    .where('uuid', 'in', uuids)
    .where('state', '<>', deleted)
    .where(readableArtifacts(reach))
    .where((eb) => eb.and(rest.map((condition) => condition(eb))))
    .execute()
  return new Map(rows.map((row) => [row.uuid, row]))
}

/**
 * Artifacts that hold a blob. They are few, and found by the blob; a page costs as much as counting them does, which the
 * view of the blob needs anyway.
 */
const readHolders = (
  read: Sql,
  reach: Reach,
  order: Order<ArtifactColumn>,
  { indexed, rest }: Filters,
  blobUuid: string,
  after: Place | undefined,
  count: number,
): Promise<readonly Place[]> =>
  placesFrom(
    read
      .selectFrom('artifacts')
      .select(['uuid as id', sql.ref<string | number>(order.column).as('place')])
      .where('uuid', 'in', (eb) =>
        eb
          .selectFrom('versions')
          .select('artifact_uuid')
          .where('blob_uuid', '=', blobUuid.toLowerCase())
          .where('live', '=', 1),
      )
      .where('state', '<>', deleted)
      .where(readableArtifacts(reach))
      .where((eb) => eb.and(rest.map((condition) => condition(eb))))
      .where(within(order, { key: order.column, id: 'uuid' }, after, indexed.range)),
    order,
    count,
  )
