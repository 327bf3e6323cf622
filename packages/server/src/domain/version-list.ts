/**
 * Lists of an artifact's versions, page by page.
 */
import type { VersionView } from '@holdfast/api/schemas'
import { sql } from 'kysely'
import type { Row } from '../db/schema.ts'
import type { Caller, Parts } from '../parts.ts'
import { blobViews } from './blob-view.ts'
import { laterThan, orderOf, placesFrom, type SortBy, within } from './keyset.ts'
import type { Page, PageInput } from './page.ts'
import { readPage } from './read-page.ts'
import { findArtifact, reachOf } from './visibility.ts'

export interface VersionListInput extends PageInput {
  /** By default by number, or by time when `createdAfter` is given. */
  readonly sort?: SortBy<'index' | 'created_at'> | undefined
  /** Milliseconds. */
  readonly createdAfter?: number | undefined
}

/** The versions of an artifact: all that were not pruned or deleted one by one. */
export const listVersions = async (
  parts: Pick<Parts, 'db' | 'clock'>,
  caller: Caller,
  ref: string,
  input: VersionListInput,
): Promise<Page<VersionView>> => {
  const { read } = parts.db
  const { createdAfter } = input
  const artifact = await findArtifact(read, caller, ref, 'read')
  const reach = await reachOf(read, caller)
  const sort = input.sort ?? (createdAfter === undefined ? 'index' : 'created_at')
  const order = orderOf(`versions ${artifact.uuid}`, sort, 'number')
  const isByTime = order.column === 'created_at'
  const range = isByTime ? laterThan(createdAfter) : {}
  const isFiltered = createdAfter !== undefined && !isByTime
  const page = await readPage<{ readonly blob: Row<'blobs'>; readonly index: number }>(
    {
      order,
      isFiltered,
      readPlaces: (after, count) =>
        placesFrom(
          read
            .selectFrom('versions')
            .select(['idx as id', sql.ref<number>(isByTime ? 'created_at' : 'idx').as('place')])
            .where('artifact_uuid', '=', artifact.uuid)
            // Those of a deleted artifact are kept, but are references no more.
            .where('live', '=', artifact.state === 'deleted' ? 0 : 1)
            .where(within(order, { key: isByTime ? 'created_at' : 'idx', id: 'idx' }, after, range)),
          order,
          count,
        ),
      async load(places) {
        if (places.length === 0) return new Map()
        const rows = await read
          .selectFrom('versions')
          .innerJoin('blobs', 'blobs.uuid', 'versions.blob_uuid')
          .selectAll('blobs')
          .select('versions.idx')
          .where('versions.artifact_uuid', '=', artifact.uuid)
          .where(
            'versions.idx',
            'in',
            places.map(({ id }) => Number(id)),
          )
          .$if(isFiltered, (query) => query.where('versions.created_at', '>', Math.floor(createdAfter!)))
          .execute()
        return new Map(rows.map(({ idx, ...blob }) => [idx, { blob, index: idx }]))
      },
    },
    input,
  )
  const views = await blobViews(
    read,
    reach,
    page.items.map(({ blob }) => blob),
    parts,
  )
  return { ...page, items: views.map((view, at) => ({ ...view, index: page.items[at]!.index })) }
}
