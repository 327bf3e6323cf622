/**
 * Where artifacts stand in a list: questions that an index answers in order, so that only what a page needs is read.
 */
import { type ExpressionBuilder, sql } from 'kysely'
import { deleted } from '../db/database.ts'
import type { ArtifactState, ArtifactType, Schema } from '../db/schema.ts'
import { type KeyRange, type Order, type Place, placesFrom, within } from './keyset.ts'
import { mayAct, type Reach, type Sql } from './visibility.ts'

export type ArtifactColumn = 'created_at' | 'updated_at' | 'name' | 'size'

/** A part of what the caller sees that an index has in order: one namespace, the shared ones, or all. */
export type Source = { readonly namespace: string } | 'shared' | 'all'

/** Together these are what `reach` sees; shared artifacts of a namespace within reach occur twice. */
export const sourcesOf = (reach: Reach, namespace: string | undefined): readonly Source[] => {
  if (namespace !== undefined) return mayAct(reach, namespace) ? [{ namespace }] : ['shared']
  return reach === 'all' ? ['all'] : [...reach.map((name) => ({ namespace: name })), 'shared']
}

/** A metadata value as indexes have it. */
export interface IndexedValue {
  readonly key: string
  readonly digest: string
}

/** What the indexes find by themselves. */
export interface IndexedFilters {
  readonly range: KeyRange
  /** With it types and states are not looked at. */
  readonly value: IndexedValue | undefined
  readonly types: readonly ArtifactType[]
  readonly states: readonly ArtifactState[]
}

/** The next `count` places of one source. */
export const readArtifactPlaces = (
  read: Sql,
  source: Source,
  order: Order<ArtifactColumn>,
  filters: IndexedFilters,
  after: Place | undefined,
  count: number,
): Promise<readonly Place[]> =>
  filters.value
    ? placesByValue(read, source, order, filters, filters.value, after, count)
    : placesByType(read, source, order, filters, after, count)

/** Each type and state is a piece of the index in order; the database merges them as it reads. */
const placesByType = async (
  read: Sql,
  source: Source,
  order: Order<ArtifactColumn>,
  { range, types, states }: IndexedFilters,
  after: Place | undefined,
  count: number,
): Promise<readonly Place[]> => {
  const isAfter = within(order, { key: order.column, id: 'uuid' }, after, range)
  const [first, ...others] = types.flatMap((type) =>
    states.map((state) =>
      read
        .selectFrom('artifacts')
        .select(['uuid as id', sql.ref<string | number>(order.column).as('place')])
        .where('state', '<>', deleted)
        .where('type', '=', sql.lit(type))
        .where('state', '=', sql.lit(state))
        .where((eb) => inArtifacts(eb, source))
        .where(isAfter),
    ),
  )
  if (first === undefined) return []
  return placesFrom(
    others.reduce((query, other) => query.unionAll(other), first),
    order,
    count,
  )
}

const placesByValue = (
  read: Sql,
  source: Source,
  order: Order<ArtifactColumn>,
  { range }: IndexedFilters,
  { key, digest }: IndexedValue,
  after: Place | undefined,
  count: number,
): Promise<readonly Place[]> =>
  placesFrom(
    read
      .selectFrom('metadata_values')
      .select(['object_uuid as id', sql.ref<string | number>(order.column).as('place')])
      .where('object_type', '=', sql.lit('artifact'))
      .where('key', '=', key)
      .where('digest', '=', digest)
      .where((eb) => inValues(eb, source))
      .where(within(order, { key: order.column, id: 'object_uuid' }, after, range)),
    order,
    count,
  )

// Literals, as the indexes hold shared rows only.
const inArtifacts = (eb: ExpressionBuilder<Schema, 'artifacts'>, source: Source) =>
  source === 'all'
    ? eb.lit(true)
    : source === 'shared'
      ? eb('shared', '=', eb.lit(1))
      : eb('namespace', '=', source.namespace)

const inValues = (eb: ExpressionBuilder<Schema, 'metadata_values'>, source: Source) =>
  source === 'all'
    ? eb.lit(true)
    : source === 'shared'
      ? eb('shared', '=', eb.lit(1))
      : eb('owner', '=', source.namespace)
