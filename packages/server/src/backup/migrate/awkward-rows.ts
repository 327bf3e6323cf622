/** For tests only: rows of every table, with values of every type that databases like to treat differently. */
import { blockSize } from '@holdfast/api/limits'
import type { Database } from '../../db/database.ts'
import type { NewRow } from '../../db/schema.ts'
import type { tableNames } from './tables.ts'

const largestNumber = Number.MAX_SAFE_INTEGER
/** Beyond the basic plane, composed and decomposed, quotes, a backslash, a line, SQL's own signs, what trims. */
const awkwardText = ` \u{1f4be} Ärger 'quoted' "twice" \\ %_ $1 ?1 ünï\u0308 \u200f\ufeff\n\ttail `
/** Sorted by bytes of UTF-8 these two come in the other order than by UTF-16. */
const beyond = '\u{10000}'
const before = '\uffee'
const json = JSON.stringify({
  zero: '\0',
  half: '\ud800',
  text: awkwardText,
  big: 2 ** 53 - 1,
  small: 5e-324,
  deep: [[null]],
})
const bytes = Uint8Array.from({ length: 256 }, (_, i) => i)

/** A UUID that begins like this. */
const uuid = (start: string) => `${start.padEnd(8, '0')}-1111-4111-8111-111111111111`
const [plain, nothing, gone] = [uuid('a1'), uuid('b2'), uuid('c3')]

type Rows = { readonly [T in (typeof tableNames)[number]]?: readonly NewRow<T>[] }

/** Every column has a value somewhere, and every one that may be null is null somewhere. */
export const awkwardRows = {
  namespaces: [
    { name: awkwardText, state: 'created', epoch: 'e', created_at: 0 },
    {
      name: before,
      state: 'created',
      epoch: '',
      created_at: largestNumber,
      max_bytes: largestNumber,
      max_artifacts: 0,
      max_uploads: 1,
    },
    { name: beyond, state: 'deleted', epoch: 'e', created_at: 1, deleted_at: 2 },
  ],
  namespace_keys: [
    {
      namespace: awkwardText,
      name: awkwardText,
      hash: '$argon2id$v=19$m=1,t=1,p=1$a$b',
      nonce: 'n',
      created_at: 1,
    },
  ],
  trusts: [{ namespace: before, trusted: 'nobody of this name' }],
  metadata: [
    { object_type: 'namespace', object_uuid: beyond, namespace: '', key: awkwardText, value: json },
    { object_type: 'artifact', object_uuid: plain, namespace: '', key: 'k', value: 'null' },
    { object_type: 'blob', object_uuid: plain, namespace: before, key: 'k', value: '"x"' },
  ],
  metadata_values: [
    {
      object_type: 'blob',
      object_uuid: plain,
      namespace: before,
      key: 'k',
      digest: 'd',
      owner: '',
      shared: 1,
      name: awkwardText,
      size: largestNumber,
      created_at: 0,
      updated_at: 1,
    },
  ],
  blobs: [
    {
      uuid: plain,
      state: 'deleted',
      size: largestNumber,
      sha512: 'same',
      sha256: 'a',
      sha1: 'b',
      xxh128: 'c',
      created_at: 1,
      info: json,
      node: awkwardText,
      unreferenced_at: 1,
      verified_at: 2,
      healed_at: 3,
      deleted_at: 4,
      files_removed_at: 5,
    },
    {
      uuid: nothing,
      state: 'deleted',
      size: 0,
      sha512: 'same',
      created_at: 1,
      info: '{}',
      node: '',
      deleted_at: 4,
      files_removed_at: 5,
    },
    { uuid: gone, state: 'quarantined', size: 3, sha512: 'of nothing', created_at: 1, info: '{}', node: 'n' },
  ],
  blob_blocks: [
    { blob_uuid: plain, block_size: blockSize, sums: bytes },
    { blob_uuid: nothing, block_size: largestNumber, sums: new Uint8Array(0) },
  ],
  blob_uses: [{ blob_uuid: plain, namespace: beyond, used_at: largestNumber }],
  artifacts: [
    {
      uuid: plain,
      namespace: before,
      name: awkwardText,
      type: 'label',
      source_url: `sf://${beyond}`,
      state: 'deleted',
      shared: 1,
      max_versions: 1_000_000,
      next_index: largestNumber,
      created_at: 1,
      updated_at: 7,
      size: largestNumber,
      deleted_at: 9,
      error: awkwardText,
    },
    {
      uuid: nothing,
      namespace: before,
      name: '',
      type: 'other',
      source_url: '',
      state: 'initial',
      shared: 0,
      max_versions: 1,
      next_index: 1,
      created_at: 1,
    },
  ],
  versions: [
    { artifact_uuid: plain, idx: 2, blob_uuid: plain, live: 0, created_at: 1 },
    { artifact_uuid: plain, idx: 10, blob_uuid: nothing, live: 1, created_at: 1 },
  ],
  leases: [{ blob_uuid: gone, namespace: before, expires_at: largestNumber }],
  conversions: [
    { upload_uuid: gone, namespace: before, artifact_uuid: plain, idx: 2, request: json, created_at: 1 },
  ],
  events: [0.1, null, -0, 1e300, 5e-324, 1, 1e21, 12345678.125].map((duration, i) => ({
    object_type: 'artifact',
    object_uuid: plain,
    namespace: i === 0 ? '' : awkwardText,
    type: 'mutate',
    at: i,
    node: 'n',
    duration,
    message: awkwardText,
    extra: json,
  })),
  fetches: [
    {
      artifact_uuid: plain,
      url: 'https://a.example/',
      etag: '"e"',
      last_modified: 'm',
      state: 'waiting',
      attempts: 3,
      next_attempt_at: 1,
      upload_uuid: gone,
      if_range: '"e"',
      error: awkwardText,
      caller_namespace: before,
      shared: 1,
      request_id: 'r',
      run: gone,
      updated_at: 1,
    },
    {
      artifact_uuid: nothing,
      url: '',
      state: 'done',
      attempts: 0,
      next_attempt_at: largestNumber,
      caller_namespace: before,
      shared: 0,
      request_id: '',
      updated_at: 1,
    },
  ],
  settings: [
    { name: awkwardText, value: json },
    { name: '', value: '' },
  ],
  usage_samples: [
    {
      span: 60,
      at: 1,
      stored_bytes: largestNumber,
      unreferenced_bytes: 0,
      logical_bytes: 1,
      blobs: 2,
      versions: 3,
      artifacts: 4,
      uploads: 5,
      upload_bytes: 6,
      free_bytes: largestNumber,
      count_ms: 8,
    },
  ],
  usage_namespaces: [{ namespace: awkwardText, logical_bytes: largestNumber, versions: 1 }],
} satisfies Rows

/** Adds them to a database. */
export const insertAwkwardRows = (db: Database): Promise<void> =>
  db.write(async (trx) => {
    // One by one: a row that leaves a column out gets what the column has by default.
    for (const [table, rows] of Object.entries(awkwardRows))
      for (const row of rows as readonly NewRow<'events'>[])
        await trx
          .insertInto(table as 'events')
          .values(row)
          .execute()
  })
