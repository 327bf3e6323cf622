/**
 * What travels in requests and replies, as TypeBox schemas: JSON Schema at run time, TypeScript types at compile
 * time. Field names and types are the original's (wire contract, part A); fields that Holdfast adds never change
 * the type or meaning of those.
 */
import { type Static, type TSchema, Type } from 'typebox'
import {
  maxCursorLength,
  maxFilterLength,
  maxMaxVersions,
  maxMetadataKeyLength,
  maxNameLength,
  maxNamespaceLength,
  maxPageSize,
  maxUrlLength,
} from './limits.ts'

/** A body field that may be absent or null; clients send both. */
export const Maybe = <T extends TSchema>(schema: T) => Type.Optional(Type.Union([schema, Type.Null()]))

/** A whole number, or its decimal digits as a string: the original's clients send both. */
export const WholeNumber = (maximum = Number.MAX_SAFE_INTEGER) =>
  Type.Union([Type.Integer({ minimum: 0, maximum }), Type.String({ pattern: '^[0-9]{1,16}$' })])

export const Seconds = Type.Number({ description: 'Seconds since 1970-01-01 UTC, with a fraction' })
export const Uuid = Type.String({ description: 'A UUID' })
export const Size = Type.Integer({ minimum: 0, description: 'Bytes' })
export const Metadata = Type.Record(Type.String(), Type.Unknown(), { description: 'Any JSON value by key' })
export const Nothing = Type.Null({ description: 'Done; there is nothing to tell' })

export const ArtifactType = Type.Union([
  Type.Literal('image'),
  Type.Literal('snapshot'),
  Type.Literal('label'),
  Type.Literal('other'),
])
export const ArtifactState = Type.Union([
  Type.Literal('initial'),
  Type.Literal('created'),
  Type.Literal('error'),
  Type.Literal('deleted'),
])

/** Text that people choose: no control characters, no slash. */
export const Name = Type.String({
  minLength: 1,
  maxLength: maxNameLength,
  pattern: '^[^/\\u0000-\\u001f\\u007f]+$',
})
export const NamespaceName = Type.String({ minLength: 1, maxLength: maxNamespaceLength })
export const MetadataKey = Type.String({ minLength: 1, maxLength: maxMetadataKeyLength })
export const SourceUrl = Type.String({
  minLength: 1,
  maxLength: maxUrlLength,
  pattern: '^[^\\u0000-\\u001f\\u007f]+$',
})
export const MaxVersions = Type.Union([
  Type.Integer({ minimum: 1, maximum: maxMaxVersions }),
  Type.String({ pattern: '^0*[1-9][0-9]{0,5}$' }),
])

export const ErrorReply = Type.Object(
  {
    error: Type.String({ description: 'For people' }),
    status: Type.Integer({ description: 'The HTTP status again' }),
    code: Type.String({ description: 'For programs; see the error table' }),
    detail: Type.Optional(Type.Record(Type.String(), Type.Unknown())),
    request_id: Type.Optional(Type.String()),
  },
  { title: 'Error' },
)

export const Token = Type.Object(
  { access_token: Type.String(), token_type: Type.Literal('Bearer'), expires_in: Type.Integer() },
  { title: 'Token' },
)

export const NamespaceView = Type.Object(
  {
    name: Type.String(),
    state: Type.String(),
    metadata: Metadata,
    version: Type.Integer(),
    keys: Type.Array(Type.String(), { description: 'Key names; the keys themselves are never shown' }),
    trust: Type.Object({
      full: Type.Array(Type.String(), { description: 'Namespaces that may act on this one' }),
    }),
  },
  { title: 'Namespace' },
)

const Limit = Type.Integer({ minimum: 0, description: '0 is no limit' })

export const UsageView = Type.Object(
  {
    namespace: Type.String(),
    bytes: Type.Integer({ minimum: 0, description: 'What counts against max_bytes: the two that follow' }),
    blob_bytes: Type.Integer({ minimum: 0, description: 'Distinct blobs that live versions hold' }),
    upload_bytes: Type.Integer({ minimum: 0, description: 'Unfinished uploads, arriving bytes included' }),
    artifacts: Type.Integer({ minimum: 0 }),
    uploads: Type.Integer({ minimum: 0 }),
    limits: Type.Object({ max_bytes: Limit, max_artifacts: Limit, max_uploads: Limit }),
  },
  { title: 'Usage' },
)

export const UploadView = Type.Object(
  {
    uuid: Uuid,
    state: Type.Literal('created'),
    metadata: Metadata,
    version: Type.Integer(),
    node: Type.String(),
    created_at: Seconds,
    namespace: Type.String(),
    size: Size,
    declared_size: Type.Union([Size, Type.Null()]),
    last_data_at: Seconds,
    expires_at: Type.Number({
      description: 'When the upload is removed unless more data arrives, in seconds',
    }),
  },
  { title: 'Upload' },
)

const VersionEntry = Type.Object({
  uuid: Uuid,
  size: Size,
  reference_count: Type.Integer(),
  depends_on: Type.Null(),
  instances: Type.Optional(Type.Array(Type.String())),
  created_at: Type.Optional(Seconds),
  state: Type.Optional(
    Type.Literal('quarantined', {
      description: 'Only when the stored bytes are damaged; the same content, uploaded again, heals them',
    }),
  ),
})

export const ArtifactView = Type.Object(
  {
    uuid: Uuid,
    name: Type.String(),
    state: ArtifactState,
    metadata: Metadata,
    version: Type.Integer(),
    artifact_type: ArtifactType,
    source_url: Type.String(),
    max_versions: Type.Integer(),
    namespace: Type.String(),
    shared: Type.Boolean(),
    index: Type.Integer({ description: 'The newest version, 0 without one' }),
    blob_uuid: Type.Optional(Type.String({ description: "The newest version's blob" })),
    blobs: Type.Record(Type.String(), VersionEntry, { description: 'By version number' }),
    created_at: Seconds,
    updated_at: Type.Number({
      description: 'When it was made, or last got or lost a version, in seconds',
    }),
    error: Type.Optional(Type.String({ description: 'Why the state is "error"' })),
  },
  { title: 'Artifact' },
)

export const Checksums = Type.Object({
  sha512: Type.Optional(Type.String()),
  sha256: Type.Optional(Type.String()),
  sha1: Type.Optional(Type.String()),
  xxh128: Type.Optional(Type.String()),
})

const blobFields = {
  uuid: Uuid,
  state: Type.String(),
  metadata: Metadata,
  version: Type.Integer(),
  size: Size,
  modified: Seconds,
  fetched_at: Seconds,
  depends_on: Type.Null(),
  transcodes: Type.Record(Type.String(), Type.String()),
  locations: Type.Array(Type.String(), { description: 'Nodes that hold the bytes' }),
  reference_count: Type.Integer({ description: 'Versions the asker may see that hold this blob' }),
  sha512: Type.String(),
  checksums: Checksums,
  last_used: Type.Union([Seconds, Type.Null()]),
  instances: Type.Array(Type.String()),
  'disk size': Type.Optional(Type.Number()),
  'file format': Type.Optional(Type.String()),
  'mime-type': Type.Optional(Type.String()),
  'virtual size': Type.Optional(Type.Number()),
  expires_at: Type.Optional(
    Type.Number({ description: 'Until when the asker holds a lease on the blob, in seconds' }),
  ),
}

export const BlobView = Type.Object(blobFields, { title: 'Blob' })
export const VersionView = Type.Object({ ...blobFields, index: Type.Integer() }, { title: 'Version' })

export const EventView = Type.Object(
  {
    type: Type.String(),
    timestamp: Seconds,
    fqdn: Type.String({ description: 'The node' }),
    duration: Type.Union([Type.Number(), Type.Null()]),
    message: Type.String(),
    extra: Type.Record(Type.String(), Type.Unknown()),
  },
  { title: 'Event' },
)

export const EventFilter = Type.Object({
  event_type: Maybe(Type.String()),
  limit: Maybe(WholeNumber()),
})

/** Query parameters of every list: without `limit` the whole list is answered, as the original does. */
export const PageQuery = {
  limit: Type.Optional(
    Type.Integer({
      minimum: 1,
      maximum: maxPageSize,
      description: 'Rows a page has at most; without it the list is whole',
    }),
  ),
  cursor: Type.Optional(
    Type.String({
      minLength: 1,
      maxLength: maxCursorLength,
      description: 'Where to go on, from the page before; good for the same list in the same order',
    }),
  ),
}

/** By which field, and with `-` from its end. */
const SortBy = <const T extends string>(...fields: readonly T[]) =>
  Type.Optional(
    Type.Enum([...fields, ...fields.map((field): `-${T}` => `-${field}`)], {
      description: 'By which field; with - the other way round',
    }),
  )
const CreatedAfter = Type.Optional(
  Type.Number({ minimum: 0, maximum: 1e11, description: 'Seconds since 1970-01-01 UTC, with a fraction' }),
)
/** Text to filter by: nothing has control characters in its name. */
const FilterText = (maxLength: number, description: string) =>
  Type.Optional(Type.String({ maxLength, pattern: '^[^\\u0000-\\u001f\\u007f]*$', description }))

/** `metadata.KEY=TEXT` in the query; TypeBox has no type for fields by pattern, so `MetadataQuery` says it. */
const metadataFields = {
  patternProperties: {
    '^metadata\\.$': { not: {} },
    '^metadata\\.': { type: 'string', maxLength: maxFilterLength },
  },
}
export type MetadataQuery = { readonly [field: `metadata.${string}`]: string }

export const ArtifactQuery = Type.Object(
  {
    ...PageQuery,
    sort: SortBy('created_at', 'updated_at', 'name', 'size'),
    name: FilterText(maxNameLength, 'Names that begin so; sorted by name unless `sort` says otherwise'),
    type: Type.Optional(ArtifactType),
    namespace: FilterText(maxNamespaceLength, 'Of this namespace'),
    state: Type.Optional(ArtifactState),
    created_after: CreatedAfter,
    blob_uuid: FilterText(36, 'With a version that is this blob: labels that point at it, for one'),
  },
  metadataFields,
)

export const VersionQuery = Type.Object({
  ...PageQuery,
  sort: SortBy('index', 'created_at'),
  created_after: CreatedAfter,
})

export const BlobQuery = Type.Object(
  {
    ...PageQuery,
    sort: SortBy('created_at', 'size'),
    state: Type.Optional(
      Type.Union([Type.Literal('created'), Type.Literal('quarantined'), Type.Literal('deleted')]),
    ),
    created_after: CreatedAfter,
  },
  metadataFields,
)

/** The body's filter for clients that cannot send a body with a GET, browsers for one, and what pages need. */
export const EventQuery = Type.Object({
  ...PageQuery,
  event_type: FilterText(64, 'Events of this type'),
  sort: SortBy('timestamp'),
  created_after: CreatedAfter,
})

export type NamespaceView = Static<typeof NamespaceView>
export type UsageView = Static<typeof UsageView>
export type UploadView = Static<typeof UploadView>
export type ArtifactView = Static<typeof ArtifactView>
export type ArtifactType = Static<typeof ArtifactType>
export type ArtifactState = Static<typeof ArtifactState>
export type BlobView = Static<typeof BlobView>
export type VersionView = Static<typeof VersionView>
export type EventView = Static<typeof EventView>
export type ErrorReply = Static<typeof ErrorReply>
export type Token = Static<typeof Token>
export type Metadata = Static<typeof Metadata>
export type Checksums = Static<typeof Checksums>
