/**
 * The list of all blobs, page by page, for `system`.
 */
import type { BlobView } from '@holdfast/api/schemas'
import { sql } from 'kysely'
import { deleted } from '../db/database.ts'
import type { BlobState, Row } from '../db/schema.ts'
import type { Caller, Parts } from '../parts.ts'
import type { MetadataFilter } from './artifact-list.ts'
import type { IndexedValue } from './artifact-places.ts'
import { blobViews } from './blob-view.ts'
import {
  type KeyRange,
  laterThan,
  type Order,
  orderOf,
  type Place,
  placesFrom,
  type SortBy,
  within,
} from './keyset.ts'
import { textDigest } from './listed-metadata.ts'
import type { Page, PageInput } from './page.ts'
import { readPage } from './read-page.ts'
import { requireSystem, type Sql } from './visibility.ts'

type BlobColumn = 'created_at' | 'size'
export type BlobSort = SortBy<BlobColumn>

export interface BlobListInput extends PageInput {
  /** By default oldest first. */
  readonly sort?: BlobSort | undefined
  /** Only blobs on this node. */
  readonly node?: string | undefined
  /** Deleted blobs are never listed. */
  readonly state?: BlobState | undefined
  /** Milliseconds. */
  readonly createdAfter?: number | undefined
  /** What any namespace has set. */
  readonly metadata?: MetadataFilter | undefined
}

const liveStates: readonly BlobState[] = ['created', 'quarantined']

/** Blobs that are not deleted. */
export const listBlobs = async (
  parts: Pick<Parts, 'db' | 'clock'>,
  caller: Caller,
  input: BlobListInput,
): Promise<Page<BlobView>> => {
  requireSystem(caller)
  const { read } = parts.db
  const { createdAfter, node, state, metadata = [] } = input
  const order = orderOf<BlobColumn>('blobs', input.sort ?? 'created_at', 'string')
  const [value, ...values] = metadata.map(([key, text]): IndexedValue => ({ key, digest: textDigest(text) }))
  const isByTime = order.column === 'created_at'
  const range = isByTime ? laterThan(createdAfter) : {}
  const page = await readPage<Row<'blobs'>>(
    {
      order,
      isFiltered:
        values.length > 0 ||
        node !== undefined ||
        (state !== undefined && value !== undefined) ||
        (createdAfter !== undefined && !isByTime),
      readPlaces: (after, count) =>
        value
          ? placesByValue(read, order, value, after, range, count)
          : placesByState(read, order, state, after, range, count),
      async load(places) {
        if (places.length === 0) return new Map()
        let query = read
          .selectFrom('blobs')
          .selectAll()
          .where(
            'uuid',
            'in',
            places.map(({ id }) => String(id)),
          )
          .where('state', '<>', deleted)
        if (node !== undefined) query = query.where('node', '=', node)
        if (state !== undefined) query = query.where('state', '=', state)
        if (createdAfter !== undefined) query = query.where('created_at', '>', Math.floor(createdAfter))
        for (const { key, digest } of values)
          query = query.where((eb) =>
            eb.exists(
              eb
                .selectFrom('metadata_values')
                .select('metadata_values.key')
                .where('metadata_values.object_type', '=', sql.lit('blob'))
                .whereRef('metadata_values.object_uuid', '=', 'blobs.uuid')
                .where('metadata_values.key', '=', key)
                .where('metadata_values.digest', '=', digest),
            ),
          )
        return new Map((await query.execute()).map((row) => [row.uuid, row]))
      },
    },
    input,
  )
  return { ...page, items: await blobViews(read, 'all', page.items, parts) }
}

const placesByState = async (
  read: Sql,
  order: Order<BlobColumn>,
  wanted: BlobState | undefined,
  after: Place | undefined,
  range: KeyRange,
  count: number,
): Promise<readonly Place[]> => {
  const states = wanted === undefined ? liveStates : liveStates.filter((state) => state === wanted)
  const [first, ...others] = states.map((state) =>
    read
      .selectFrom('blobs')
      .select(['uuid as id', sql.ref<number>(order.column).as('place')])
      .where('state', '<>', deleted)
      .where('state', '=', sql.lit(state))
      .where(within(order, { key: order.column, id: 'uuid' }, after, range)),
  )
  if (first === undefined) return []
  return placesFrom(
    others.reduce((query, other) => query.unionAll(other), first),
    order,
    count,
  )
}

/** Several namespaces may have set the same value of one blob. */
const placesByValue = async (
  read: Sql,
  order: Order<BlobColumn>,
  { key, digest }: IndexedValue,
  after: Place | undefined,
  range: KeyRange,
  count: number,
): Promise<readonly Place[]> =>
  placesFrom(
    read
      .selectFrom('metadata_values')
      .select(['object_uuid as id', sql.ref<number>(order.column).as('place')])
      .distinct()
      .where('object_type', '=', sql.lit('blob'))
      .where('key', '=', key)
      .where('digest', '=', digest)
      .where(within(order, { key: order.column, id: 'object_uuid' }, after, range)),
    order,
    count,
  )
