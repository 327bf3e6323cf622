/**
 * Artifacts as they travel on the wire.
 */
import type { ArtifactView } from '@holdfast/api/schemas'
import type { Kysely } from 'kysely'
import type { Row, Schema } from '../db/schema.ts'
import type { Parts } from '../parts.ts'

/** The views of some artifacts, in their order, in a fixed number of queries. `instances` adds the empty lists of `GET` of one. */
export const artifactViews = async (
  _sql: Kysely<Schema>,
  _reach: 'all' | readonly string[],
  _rows: readonly Row<'artifacts'>[],
  _parts: Parts,
  _options: { instances?: boolean } = {},
): Promise<ArtifactView[]> => {
  throw new Error('to be written')
}
