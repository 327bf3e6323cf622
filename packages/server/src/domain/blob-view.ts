/**
 * What clients see of a blob. Equal content is stored once for all tenants, so a view tells each of them only what
 * follows from versions and metadata that it may see itself.
 */
import type { BlobView } from '@holdfast/api/schemas'
import type { Row } from '../db/schema.ts'
import type { Parts } from '../parts.ts'
import type { Reach, Sql } from './visibility.ts'

export interface BlobViewOptions {
  /** The asker's namespace, whose lease on a blob is told as `expires_at`. */
  readonly leasesOf?: string
}

/** The views of some blobs, in the order of `rows`; a fixed number of queries for any number of rows. */
export declare const blobViews: (
  sql: Sql,
  reach: Reach,
  rows: readonly Row<'blobs'>[],
  parts: Pick<Parts, 'clock'>,
  options?: BlobViewOptions,
) => Promise<BlobView[]>
