/**
 * The rows of Holdfast's database, one interface a table, for Kysely.
 *
 * Conventions, the same for SQLite and PostgreSQL, so that one set of queries serves both:
 * - names are those of SQL: snake_case, never translated;
 * - times (`*_at`) are whole milliseconds since 1970, sizes are bytes; both fit a JavaScript number;
 * - yes/no columns are `Flag`, 0 or 1, never booleans;
 * - JSON is text, written and parsed by the code that owns the column;
 * - UUIDs and digests are lower-case text; bytes are `Uint8Array`;
 * - rows that other rows or people may still name (namespaces, artifacts, versions, blobs) are not deleted: their
 *   state says `deleted`, and `deleted_at` is set in the same statement (a constraint holds the two together). The
 *   job `prune-history` removes them long afterwards, when nothing names them any more.
 *
 * What the types cannot say (keys, references, checks, indexes) stands in `migrations/`.
 */
import type { Generated, Insertable, Selectable, Updateable } from 'kysely'

/** Yes (1) or no (0). SQLite has no booleans, and PostgreSQL's compare with no number. */
export type Flag = 0 | 1

/** Milliseconds since 1970. */
export type Millis = number

/** JSON as text. */
export type JsonText = string

export type NamespaceState = 'created' | 'deleted'
export type ArtifactState = 'initial' | 'created' | 'error' | 'deleted'
export type ArtifactType = 'image' | 'snapshot' | 'label' | 'other'
export type BlobState = 'created' | 'quarantined' | 'deleted'
/** `waiting` for its next attempt, `running` now, or ended as `done` or `failed`. */
export type FetchState = 'waiting' | 'running' | 'done' | 'failed'
export type MetadataObjectType = 'artifact' | 'blob' | 'namespace'
export type EventObjectType = 'artifact' | 'blob' | 'upload' | 'namespace'
/** As a node says itself; whether it is heard of, `domain/nodes/` judges. */
export type NodeState = 'up' | 'stopping' | 'stopped'
export type EventType = 'audit' | 'mutate' | 'status' | 'usage' | 'resources' | 'prune' | 'historic'

/** A tenant. */
export interface NamespacesTable {
  name: string
  state: NamespaceState
  /** A fresh UUID each time the name is created: what was issued to an earlier life of the name is void. */
  epoch: string
  created_at: Millis
  deleted_at: Millis | null
  /** Limits of this namespace, 0 for none; null: those of the settings. */
  max_bytes: number | null
  max_artifacts: number | null
  max_uploads: number | null
}

/** A named secret of a namespace. */
export interface NamespaceKeysTable {
  namespace: string
  name: string
  /** Argon2 hash in its own text form; the secret itself is stored nowhere. */
  hash: string
  /** Part of every token made with this key; replacing the key changes it and voids them. */
  nonce: string
  created_at: Millis
}

/**
 * `trusted`, which need not exist, may act on the objects of `namespace`. That everybody trusts `system` is implied,
 * never stored.
 */
export interface TrustsTable {
  namespace: string
  trusted: string
}

/** One key of an object's metadata. */
export interface MetadataTable {
  object_type: MetadataObjectType
  /** The object's UUID; for a namespace its name. */
  object_uuid: string
  /** Blobs: the namespace that set the key, as equal content is shared between tenants. Otherwise ''. */
  namespace: string
  key: string
  value: JsonText
}

/**
 * One key of the metadata of a live artifact or of a blob, as lists find it: with the digest of its value, and with what
 * lists are sorted by, copied from the object (`domain/listed-metadata.ts` keeps it in step). Goes with its metadata.
 */
export interface MetadataValuesTable {
  object_type: 'artifact' | 'blob'
  object_uuid: string
  namespace: string
  key: string
  /** See `metadata-digest.ts`. */
  digest: string
  /** The artifact's namespace; '' for a blob. */
  owner: string
  shared: Flag
  /** '' for a blob. */
  name: string
  size: number
  created_at: Millis
  updated_at: Millis
}

/** A growing, not yet visible sequence of bytes. Its size and last-data time live in files, not here. */
export interface UploadsTable {
  uuid: string
  namespace: string
  /** The node that holds the file. */
  node: string
  created_at: Millis
  declared_size: number | null
  /** The key that created it. */
  key_name: string
  /** With several nodes: what counts of it for the quota, at least its size a moment ago. */
  counted_bytes: Generated<number>
}

/** Immutable bytes. Among blobs that are not deleted each SHA-512 occurs once. */
export interface BlobsTable {
  uuid: string
  state: BlobState
  size: number
  sha512: string
  /** This digest and the next two are null, all three, until the background job has made them. */
  sha256: string | null
  sha1: string | null
  xxh128: string | null
  created_at: Millis
  /** What was recognised in the content: mime-type, file format, virtual size and so on. */
  info: JsonText
  /** The node that stored it. */
  node: string
  /** Since when nothing refers to it; null while something does. Collection counts again before it believes this. */
  unreferenced_at: Millis | null
  /** When its bytes were last compared with its digest, whatever came of it. */
  verified_at: Millis | null
  /** When its bytes were replaced after damage; each time is later than the one before. Null: never. */
  healed_at: Millis | null
  deleted_at: Millis | null
  /** When the file of a deleted blob was gone from the disk; null until then, so that a crash leaves no stray file. */
  files_removed_at: Millis | null
}

/** When a namespace last read a blob or was told that it exists. By namespace, as equal content is shared. */
export interface BlobUsesTable {
  blob_uuid: string
  namespace: string
  used_at: Millis
}

/** Checksums of a blob's blocks, checked before a block is sent. */
export interface BlobBlocksTable {
  blob_uuid: string
  /** Bytes in each block but the last. */
  block_size: number
  /** One CRC-32 a block, four bytes each, big endian. */
  sums: Uint8Array
}

/** A named, typed list of versions. Among those not deleted (namespace, type, source_url) occurs once. */
export interface ArtifactsTable {
  uuid: string
  namespace: string
  name: string
  type: ArtifactType
  source_url: string
  state: ArtifactState
  shared: Flag
  max_versions: number
  /** The number the next version gets; begins at 1 and only grows, so that no number is used twice. */
  next_index: number
  created_at: Millis
  /** When it was made, or last got or lost a version, pruned ones apart. */
  updated_at: Generated<Millis>
  /** Bytes of the newest version, 0 without one. */
  size: Generated<number>
  deleted_at: Millis | null
  /** Why the state is `error`. */
  error: string | null
}

/**
 * One numbered version. Pruned and deleted ones lose their row; those of a deleted artifact keep it, with `live` 0.
 * Only live ones are references.
 */
export interface VersionsTable {
  artifact_uuid: string
  idx: number
  blob_uuid: string
  live: Flag
  created_at: Millis
}

/** Keeps a blob alive and visible for a namespace that was told it exists, until it expires. */
export interface LeasesTable {
  blob_uuid: string
  namespace: string
  expires_at: Millis
}

/** What an upload was converted into, so that the same request, repeated after a lost reply, gets the same answer. */
export interface ConversionsTable {
  upload_uuid: string
  namespace: string
  artifact_uuid: string
  idx: number
  /** The identity that was asked for: name, source_url, namespace, type. */
  request: JsonText
  created_at: Millis
  /** The node that did it, and may have left something of the upload. */
  node: Generated<string>
}

/** One line of an object's history. */
export interface EventsTable {
  /** Grows with every event; the order of history. */
  id: Generated<number>
  object_type: EventObjectType
  /** The object's UUID; for a namespace its name. */
  object_uuid: string
  /** Whose doing it was; '' for the server's own jobs. */
  namespace: string
  type: EventType
  at: Millis
  node: string
  /** Seconds, where the event tells of something that took time. */
  duration: number | null
  message: string
  extra: JsonText
}

/** The fetching of an artifact from a URL. */
export interface FetchesTable {
  artifact_uuid: string
  url: string
  /** This and the next: validators of what the newest version holds, if that came from the URL. */
  etag: string | null
  last_modified: string | null
  state: FetchState
  attempts: number
  next_attempt_at: Millis
  /** The upload that receives the bytes while it runs. */
  upload_uuid: string | null
  /** Proves that the upload's bytes are the beginning of the remote's file; null when nothing does. */
  if_range: string | null
  error: string | null
  caller_namespace: string
  shared: Flag
  request_id: string
  /** Who runs it: see `NodesTable.run`. Null unless it is running. */
  run: Generated<string | null>
  updated_at: Millis
}

/** Facts about this store as a whole, by name. */
export interface SettingsTable {
  name: string
  value: string
}

/** What the store held at a moment. */
export interface UsageSamplesTable {
  /** Seconds that the sample stands for: the first of its day a day, the first of its hour an hour, any other less. */
  span: number
  at: Millis
  /** Of all blobs that are not deleted, those that nothing refers to included. */
  stored_bytes: number
  /** Of blobs that nothing refers to. */
  unreferenced_bytes: number
  /** Of all live versions, as if each had bytes of its own. */
  logical_bytes: number
  blobs: number
  versions: number
  artifacts: number
  uploads: number
  upload_bytes: number
  /** On the filesystem of the data directory. */
  free_bytes: number
  /** How long the counting took. */
  count_ms: number
}

/** The largest namespaces when the newest sample was taken. */
export interface UsageNamespacesTable {
  namespace: string
  /** Of its live versions, as if each had bytes of its own. */
  logical_bytes: number
  versions: number
}

/** A server that shares this database and the blob store with others. */
export interface NodesTable {
  name: string
  /** The id of its data directory. */
  directory: string
  /** A fresh UUID at each start. */
  run: string
  /** Where the others reach it; '' while it starts. */
  url: string
  version: string
  state: NodeState
  started_at: Millis
  /** When it last said that it is there, by the clock of the database. */
  seen_at: Millis
}

/** What all nodes know and nobody else. */
export interface SecretsTable {
  name: string
  value: string
}

/** What one node does at a time. */
export interface TurnsTable {
  name: string
  /** The run of the node, and a fresh UUID of the turn: what was begun in an earlier one can be told by it. */
  holder: string
  expires_at: Millis
}

/** A housekeeping job among several nodes; one that every node does has a row for each, beside that of '' for all. */
export interface JobsTable {
  name: string
  node: string
  /** Runs that were asked for, and that have ended. Only in the row of ''. */
  asked: number
  /** How many of the runs that were asked for it has done. */
  done: number
  next_at: Millis
  /** The newest run that has ended. */
  last: JsonText | null
}

/** What the quota of a namespace admitted and no other row shows yet. */
export interface HoldsTable {
  id: string
  run: string
  namespace: string
  blob_uuid: string | null
  bytes: number
}

/** Every table by its SQL name: the type parameter of Kysely. */
export interface Schema {
  namespaces: NamespacesTable
  namespace_keys: NamespaceKeysTable
  trusts: TrustsTable
  metadata: MetadataTable
  metadata_values: MetadataValuesTable
  uploads: UploadsTable
  blobs: BlobsTable
  blob_blocks: BlobBlocksTable
  blob_uses: BlobUsesTable
  artifacts: ArtifactsTable
  versions: VersionsTable
  leases: LeasesTable
  conversions: ConversionsTable
  events: EventsTable
  fetches: FetchesTable
  settings: SettingsTable
  usage_samples: UsageSamplesTable
  usage_namespaces: UsageNamespacesTable
  nodes: NodesTable
  secrets: SecretsTable
  turns: TurnsTable
  jobs: JobsTable
  holds: HoldsTable
}

/** A whole row of a table as it is read: `Row<'blobs'>`. */
export type Row<T extends keyof Schema> = Selectable<Schema[T]>
/** A row as it is inserted; nullable columns may be left out. */
export type NewRow<T extends keyof Schema> = Insertable<Schema[T]>
/** The columns to change in an update. */
export type RowChange<T extends keyof Schema> = Updateable<Schema[T]>
