/**
 * What a migration does with each table: one line a table, in the order in which rows can be put in (what is referred to
 * comes first). A table that is not in it does not compile; that keys and order are the true ones is tested.
 */
import type { Schema } from '../../db/schema.ts'
import { blobStoreSetting } from '../../open-blobs.ts'
import { dataDirectorySetting } from '../../store-directory.ts'
import { migrationSetting } from './marks.ts'

export interface TablePlan<T extends keyof Schema = keyof Schema> {
  /** The primary key, in its order. */
  readonly key: readonly (keyof Schema[T] & string)[]
  /** Most rows at a time, where they may be large. */
  readonly rows?: number
  /** Rows that are not carried: values of the first column of the key. */
  readonly without?: readonly string[]
  /** The column that the database counts up by itself; it goes on from where it was. */
  readonly counter?: keyof Schema[T] & string
}

/** Facts about where a store is: the new one has its own. */
const settingsOfPlace = [migrationSetting, dataDirectorySetting, blobStoreSetting]

/** `left`: what its rows say is about the servers of the old place. */
export const tablePlans: { readonly [T in keyof Schema]: TablePlan<T> | 'left' } = {
  namespaces: { key: ['name'] },
  namespace_keys: { key: ['namespace', 'name'] },
  trusts: { key: ['namespace', 'trusted'] },
  // A value may have 256 KiB.
  metadata: { key: ['object_type', 'object_uuid', 'namespace', 'key'], rows: 50 },
  metadata_values: { key: ['object_type', 'object_uuid', 'namespace', 'key'] },
  uploads: { key: ['uuid'] },
  blobs: { key: ['uuid'] },
  // Of a blob of 1 TiB it has 4 MiB.
  blob_blocks: { key: ['blob_uuid'], rows: 20 },
  blob_uses: { key: ['blob_uuid', 'namespace'] },
  artifacts: { key: ['uuid'] },
  versions: { key: ['artifact_uuid', 'idx'] },
  leases: { key: ['blob_uuid', 'namespace'] },
  conversions: { key: ['upload_uuid'] },
  events: { key: ['id'], counter: 'id' },
  fetches: { key: ['artifact_uuid'] },
  settings: { key: ['name'], without: settingsOfPlace },
  usage_samples: { key: ['span', 'at'] },
  usage_namespaces: { key: ['namespace'] },
  nodes: 'left',
  // Carried as files, or as rows, of the new place: see copy-uploads.ts.
  secrets: 'left',
  turns: 'left',
  jobs: 'left',
  holds: 'left',
}

const allTables = Object.keys(tablePlans) as readonly (keyof Schema)[]

/** The tables that are carried, in the order of their references. */
export const tableNames = allTables.filter((name) => tablePlans[name] !== 'left')

/** The others. */
export const leftTables = allTables.filter((name) => tablePlans[name] === 'left')

/** Tables that the database or its migrations keep for themselves. */
export const ownTables: readonly string[] = ['migrations', 'migrations_lock', 'commit_marks']
