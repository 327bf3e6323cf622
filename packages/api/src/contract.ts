/**
 * The contract, once: for every route name what goes in, what comes out and how it can be refused.
 *
 * Validation, the OpenAPI document, the handlers' types and the client's types all follow from this table: a missing
 * handler or a wrong reply is a compile error. Paths and methods stand in `paths.ts`, so that browsers need not
 * load the schemas. Every route can also answer `invalid_request`, `invalid_json`, `too_many_requests`,
 * `internal` and `unavailable`; routes that need a token also the token errors.
 */
import { type Static, type TObject, type TSchema, Type } from 'typebox'
import { adminContract } from './admin-contract.ts'
import { backupContract } from './backup-contract.ts'
import type { ErrorCode } from './errors.ts'
import type { RouteName } from './paths.ts'
import {
  ArtifactQuery,
  ArtifactView,
  BlobQuery,
  BlobView,
  EventFilter,
  EventQuery,
  EventView,
  MaxVersions,
  Maybe,
  Metadata,
  MetadataKey,
  Name,
  NamespaceName,
  NamespaceView,
  Nothing,
  SourceUrl,
  Token,
  UploadView,
  UsageView,
  VersionQuery,
  VersionView,
  WholeNumber,
} from './schemas.ts'

/** A reply that is not JSON. `none` has no body at all. */
export interface RawReply {
  readonly raw: 'text/html' | 'text/plain' | 'application/json' | 'none'
  readonly description: string
}

/** What the contract says of one route. */
export interface RouteContract {
  readonly summary: string
  readonly tag: 'server' | 'namespaces' | 'uploads' | 'artifacts' | 'labels' | 'blobs' | 'administration'
  /** Whether the route works without an access token. */
  readonly public?: true
  readonly params?: TObject
  readonly query?: TObject
  readonly headers?: TObject
  /** The JSON body. A missing body is read as `{}`. */
  readonly body?: TSchema
  /** The body is bytes, handed on as a stream and never parsed (wire contract, B1). */
  readonly bytes?: true
  readonly reply: TSchema | RawReply
  readonly errors: readonly ErrorCode[]
  /**
   * The code for a field that fails validation, where the original has words of its own: by `place/field`, or
   * `place/field#required` for a missing one only. Anything else is `invalid_request`.
   */
  readonly invalid?: Readonly<Record<string, ErrorCode>>
}

const namespaceParams = Type.Object({ namespace: Type.String() })
const artifactParams = Type.Object({ artifact_ref: Type.String({ minLength: 1 }) })
const blobParams = Type.Object({ blob_uuid: Type.String() })
const uploadParams = Type.Object({ upload_uuid: Type.String() })
const labelParams = Type.Object({ name: Name })
const namespacedLabelParams = Type.Object({ namespace: NamespaceName, name: Name })

const blobDataQuery = Type.Object({
  offset: Type.Optional(
    Type.Integer({
      minimum: 0,
      maximum: Number.MAX_SAFE_INTEGER,
      description: 'At or past the end: no bytes',
    }),
  ),
  limit: Type.Optional(
    Type.Integer({
      minimum: 0,
      maximum: Number.MAX_SAFE_INTEGER,
      description: '0 or absent: to the end',
    }),
  ),
})

const newMetadata = Type.Object({ key: MetadataKey, value: Type.Unknown() })
const newMetadataValue = Type.Object({ value: Type.Unknown() })
const invalidMetadata = { 'body/key': 'key_not_specified', 'body/value': 'value_not_specified' } as const
const metadataErrors = ['key_not_specified', 'value_not_specified', 'metadata_too_large'] as const

const newKey = Type.Object({ key_name: NamespaceName, key: Type.String({ minLength: 1, maxLength: 1024 }) })
const invalidKey = {
  'body/key_name': 'key_name_not_specified',
  'body/key#required': 'key_not_specified',
  'body/key': 'key_not_string',
} as const
const keyErrors = [
  'namespace_not_found',
  'key_name_not_specified',
  'key_not_specified',
  'key_not_string',
  'key_name_illegal',
] as const

const labelBody = Type.Object({ blob_uuid: Type.String(), max_versions: Maybe(MaxVersions) })
const invalidLabel = {
  'params/name': 'name_invalid',
  'body/blob_uuid': 'blob_not_found',
  'body/max_versions': 'max_versions_invalid',
} as const
const labelErrors = [
  'name_invalid',
  'blob_not_found',
  'blob_damaged',
  'namespace_not_found',
  'max_versions_invalid',
  'quota_exceeded',
] as const

const emptied = Type.Array(Type.String())
const cleanBody = Type.Object({ confirm: Maybe(Type.Unknown()), namespace: Maybe(Type.String()) })

export const contract = {
  showRoot: {
    summary: 'A page for people, with the capability words that clients search for',
    tag: 'server',
    public: true,
    reply: { raw: 'text/html', description: 'The page' },
    errors: [],
  },
  showHealth: {
    summary: 'Whether the process runs',
    tag: 'server',
    public: true,
    reply: Type.Object({ status: Type.Literal('ok') }),
    errors: [],
  },
  showReadiness: {
    summary: 'Whether the server can take work: its database and its data directory answer',
    tag: 'server',
    public: true,
    reply: Type.Object({ status: Type.Literal('ready') }),
    errors: ['unavailable'],
  },
  showMetrics: {
    summary: 'Metrics for Prometheus',
    tag: 'server',
    public: true,
    reply: { raw: 'text/plain', description: 'Prometheus text format' },
    errors: [],
  },
  showOpenapi: {
    summary: 'This document',
    tag: 'server',
    public: true,
    reply: { raw: 'application/json', description: 'OpenAPI 3.1' },
    errors: [],
  },
  authenticate: {
    summary: 'Exchange a key for an access token',
    tag: 'server',
    public: true,
    body: Type.Object({ namespace: Type.String({ minLength: 1 }), key: Type.String({ minLength: 1 }) }),
    invalid: {
      body: 'namespace_missing',
      'body/namespace': 'namespace_missing',
      'body/key#required': 'key_missing',
      'body/key#minLength': 'key_missing',
      'body/key': 'key_not_string',
    },
    reply: Token,
    errors: [
      'namespace_missing',
      'key_missing',
      'key_not_string',
      'wrong_key',
      'namespace_not_found',
      'too_many_attempts',
    ],
  },

  listNamespaces: {
    summary: "One's own namespace and those that trust it; all for system",
    tag: 'namespaces',
    reply: Type.Array(NamespaceView),
    errors: [],
  },
  createNamespace: {
    summary: 'Create a namespace, optionally with a first key (system only)',
    tag: 'namespaces',
    body: Type.Object({
      namespace: NamespaceName,
      key_name: Maybe(NamespaceName),
      key: Maybe(Type.String({ minLength: 1, maxLength: 1024 })),
    }),
    invalid: {
      'body/namespace#required': 'namespace_not_specified',
      'body/namespace': 'namespace_illegal',
      'body/key_name': 'key_name_illegal',
      'body/key': 'key_not_string',
    },
    reply: NamespaceView,
    errors: [
      'system_only',
      'namespace_exists',
      'namespace_not_specified',
      'namespace_illegal',
      'key_not_specified',
      'key_not_string',
      'key_name_illegal',
    ],
  },
  showNamespace: {
    summary: 'Show a namespace',
    tag: 'namespaces',
    params: namespaceParams,
    reply: NamespaceView,
    errors: ['namespace_not_found'],
  },
  deleteNamespace: {
    summary: 'Delete a namespace with its keys, uploads and artifacts (system only)',
    tag: 'namespaces',
    params: namespaceParams,
    reply: Nothing,
    errors: ['system_only', 'namespace_protected', 'namespace_not_found'],
  },
  listKeys: {
    summary: 'The names of the keys of a namespace',
    tag: 'namespaces',
    params: namespaceParams,
    reply: Type.Array(Type.String()),
    errors: ['namespace_not_found'],
  },
  addKey: {
    summary: 'Add or replace a key; replacing kills the tokens made with the old one',
    tag: 'namespaces',
    params: namespaceParams,
    body: newKey,
    invalid: invalidKey,
    reply: Type.String({ description: "The key's name" }),
    errors: keyErrors,
  },
  replaceKey: {
    summary: 'Replace an existing key',
    tag: 'namespaces',
    params: namespaceParams,
    body: newKey,
    invalid: invalidKey,
    reply: Type.String({ description: "The key's name" }),
    errors: [...keyErrors, 'key_name_not_found'],
  },
  replaceNamedKey: {
    summary: 'Replace an existing key',
    tag: 'namespaces',
    params: Type.Object({ namespace: Type.String(), key_name: Type.String() }),
    body: Type.Object({ key: Type.String({ minLength: 1, maxLength: 1024 }) }),
    invalid: invalidKey,
    reply: Type.String({ description: "The key's name" }),
    errors: [...keyErrors, 'key_name_not_found'],
  },
  deleteKey: {
    summary: 'Delete a key; tokens made with it stop working at once',
    tag: 'namespaces',
    params: Type.Object({ namespace: Type.String(), key_name: Type.String() }),
    reply: Nothing,
    errors: ['namespace_not_found', 'key_name_not_found'],
  },
  addTrust: {
    summary: "Let another namespace act on this one's objects",
    tag: 'namespaces',
    params: namespaceParams,
    body: Type.Object({ external_namespace: NamespaceName }),
    invalid: { 'body/external_namespace': 'external_namespace_not_specified' },
    reply: NamespaceView,
    errors: ['namespace_not_found', 'external_namespace_not_specified', 'namespace_illegal'],
  },
  removeTrust: {
    summary: 'Take a trust back; system is always trusted',
    tag: 'namespaces',
    params: Type.Object({ namespace: Type.String(), external_namespace: Type.String() }),
    reply: NamespaceView,
    errors: ['namespace_not_found'],
  },
  showNamespaceMetadata: {
    summary: "A namespace's metadata",
    tag: 'namespaces',
    params: namespaceParams,
    reply: Metadata,
    errors: ['namespace_not_found'],
  },
  addNamespaceMetadata: {
    summary: 'Set one metadata value',
    tag: 'namespaces',
    params: namespaceParams,
    body: newMetadata,
    invalid: invalidMetadata,
    reply: Nothing,
    errors: ['namespace_not_found', ...metadataErrors],
  },
  setNamespaceMetadata: {
    summary: 'Set one metadata value',
    tag: 'namespaces',
    params: Type.Object({ namespace: Type.String(), key: MetadataKey }),
    body: newMetadataValue,
    invalid: invalidMetadata,
    reply: Nothing,
    errors: ['namespace_not_found', ...metadataErrors],
  },
  deleteNamespaceMetadata: {
    summary: 'Delete one metadata value; a missing one is fine',
    tag: 'namespaces',
    params: Type.Object({ namespace: Type.String(), key: MetadataKey }),
    reply: Nothing,
    errors: ['namespace_not_found'],
  },
  showUsage: {
    summary: 'What a namespace has stored, and its limits',
    tag: 'namespaces',
    params: namespaceParams,
    reply: UsageView,
    errors: ['namespace_not_found'],
  },
  setLimits: {
    summary:
      'Set the limits of a namespace (system only): 0 is no limit, null or absent the default of the server. What is ' +
      'stored already stays',
    tag: 'namespaces',
    params: namespaceParams,
    body: Type.Object({
      max_bytes: Maybe(WholeNumber()),
      max_artifacts: Maybe(WholeNumber()),
      max_uploads: Maybe(WholeNumber()),
    }),
    reply: UsageView,
    errors: ['system_only', 'namespace_not_found'],
  },

  createUpload: {
    summary:
      'Begin an upload, optionally with its declared size, which is checked against the limits at once',
    tag: 'uploads',
    body: Type.Object({ size: Maybe(WholeNumber()) }),
    reply: UploadView,
    errors: ['file_too_large', 'storage_full', 'quota_exceeded'],
  },
  listUploads: {
    summary: "One's own uploads, oldest first",
    tag: 'uploads',
    reply: Type.Array(UploadView),
    errors: [],
  },
  appendUpload: {
    summary:
      'Append bytes. Plain: applied whole or not at all. With Upload-Offset: refused unless it is the current size, ' +
      'and what arrived before a cut is kept',
    tag: 'uploads',
    params: uploadParams,
    headers: Type.Object({
      'upload-offset': Type.Optional(
        Type.String({ pattern: '^[0-9]{1,16}$', description: 'The size the client believes in' }),
      ),
    }),
    bytes: true,
    reply: Type.Integer({ description: 'The new size of the upload, in bytes' }),
    errors: [
      'upload_not_found',
      'upload_node_gone',
      'upload_busy',
      'upload_damaged',
      'offset_mismatch',
      'body_incomplete',
      'body_too_large',
      'size_exceeds_declared',
      'file_too_large',
      'storage_full',
      'quota_exceeded',
      'unsupported_encoding',
      'request_timeout',
    ],
  },
  showUpload: {
    summary: 'How far an upload has come and when it expires',
    tag: 'uploads',
    params: uploadParams,
    reply: UploadView,
    errors: ['upload_not_found', 'upload_node_gone'],
  },
  headUpload: {
    summary: 'The size of an upload, in the header Upload-Offset',
    tag: 'uploads',
    params: uploadParams,
    reply: { raw: 'none', description: 'Upload-Offset tells the size' },
    errors: ['upload_not_found', 'upload_node_gone'],
  },
  deleteUpload: {
    summary: 'Give an upload up',
    tag: 'uploads',
    params: uploadParams,
    reply: Nothing,
    errors: ['upload_not_found', 'upload_node_gone'],
  },
  truncateUpload: {
    summary: 'Cut an upload to a size',
    tag: 'uploads',
    params: Type.Object({
      upload_uuid: Type.String(),
      size: Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER }),
    }),
    invalid: { 'params/size': 'truncate_out_of_range' },
    reply: Nothing,
    errors: ['upload_not_found', 'upload_node_gone', 'truncate_out_of_range', 'upload_busy', 'storage_full'],
  },

  listArtifacts: {
    summary: 'Live artifacts that one may see',
    tag: 'artifacts',
    query: ArtifactQuery,
    body: Type.Object({ node: Maybe(Type.String()) }),
    reply: Type.Array(ArtifactView),
    errors: ['cursor_invalid'],
  },
  fetchArtifact: {
    summary: 'Fetch an image from a URL in the background; the artifact tells how it went',
    tag: 'artifacts',
    body: Type.Object({ url: SourceUrl, shared: Maybe(Type.Boolean()), namespace: Maybe(Type.String()) }),
    invalid: { 'body/url#required': 'url_not_specified', 'body/url': 'url_invalid' },
    reply: ArtifactView,
    errors: [
      'url_not_specified',
      'url_invalid',
      'url_forbidden',
      'share_system_only',
      'namespace_not_found',
      'quota_exceeded',
    ],
  },
  deleteArtifacts: {
    summary: 'Delete all artifacts of a namespace',
    tag: 'artifacts',
    body: cleanBody,
    reply: Type.Array(Type.String(), { description: 'The UUIDs of the deleted artifacts' }),
    errors: ['confirm_missing', 'namespace_required', 'foreign_namespace', 'namespace_not_found'],
  },
  convertUpload: {
    summary: 'Turn an upload, or an existing blob, into a version of an artifact',
    tag: 'artifacts',
    params: Type.Object({ name: Name }),
    body: Type.Object({
      upload_uuid: Maybe(Type.String()),
      blob_uuid: Maybe(Type.String()),
      source_url: Maybe(SourceUrl),
      shared: Maybe(Type.Boolean()),
      namespace: Maybe(Type.String()),
      artifact_type: Maybe(Type.String()),
      sha512: Maybe(Type.String({ pattern: '^[0-9a-fA-F]{128}$', description: 'What the client expects' })),
      size: Maybe(WholeNumber()),
    }),
    invalid: { 'params/name': 'name_invalid', 'body/artifact_type': 'artifact_type_invalid' },
    reply: ArtifactView,
    errors: [
      'one_source_only',
      'no_source',
      'upload_not_found',
      'upload_node_gone',
      'upload_busy',
      'upload_damaged',
      'upload_empty',
      'blob_not_found',
      'blob_damaged',
      'share_system_only',
      'namespace_not_found',
      'artifact_type_invalid',
      'name_invalid',
      'size_mismatch',
      'digest_mismatch',
      'storage_full',
      'quota_exceeded',
      'blob_store_unavailable',
    ],
  },
  showArtifact: {
    summary: 'An artifact by UUID (deleted ones too) or by name',
    tag: 'artifacts',
    params: artifactParams,
    reply: ArtifactView,
    errors: ['artifact_not_found', 'artifact_ambiguous'],
  },
  deleteArtifact: {
    summary: 'Delete an artifact',
    tag: 'artifacts',
    params: artifactParams,
    reply: Type.Union([ArtifactView, Nothing]),
    errors: ['artifact_not_found', 'artifact_ambiguous'],
  },
  listVersions: {
    summary: 'The versions of an artifact, oldest first',
    tag: 'artifacts',
    params: artifactParams,
    query: VersionQuery,
    reply: Type.Array(VersionView),
    errors: ['cursor_invalid', 'artifact_not_found', 'artifact_ambiguous'],
  },
  setMaxVersions: {
    summary: 'How many versions to keep; older ones go at once',
    tag: 'artifacts',
    params: artifactParams,
    body: Type.Object({ max_versions: Maybe(MaxVersions) }),
    invalid: { 'body/max_versions': 'max_versions_invalid' },
    reply: Nothing,
    errors: ['artifact_not_found', 'artifact_ambiguous', 'max_versions_invalid'],
  },
  deleteVersion: {
    summary: 'Delete one version; deleting the last one deletes the artifact',
    tag: 'artifacts',
    params: Type.Object({
      artifact_ref: Type.String({ minLength: 1 }),
      index: Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER }),
    }),
    invalid: { 'params/index': 'version_index_invalid' },
    reply: ArtifactView,
    errors: ['artifact_not_found', 'artifact_ambiguous', 'version_index_invalid', 'version_not_found'],
  },
  shareArtifact: {
    summary: 'Let everybody read an artifact of the system namespace',
    tag: 'artifacts',
    params: artifactParams,
    reply: ArtifactView,
    errors: ['artifact_not_found', 'artifact_ambiguous', 'not_shareable'],
  },
  unshareArtifact: {
    summary: 'Take sharing back',
    tag: 'artifacts',
    params: artifactParams,
    reply: ArtifactView,
    errors: ['artifact_not_found', 'artifact_ambiguous', 'not_shared'],
  },
  listArtifactEvents: {
    summary: "An artifact's history, newest first unless `sort` says otherwise",
    tag: 'artifacts',
    params: artifactParams,
    query: EventQuery,
    body: EventFilter,
    reply: Type.Array(EventView),
    errors: ['cursor_invalid', 'artifact_not_found', 'artifact_ambiguous'],
  },
  showArtifactMetadata: {
    summary: "An artifact's metadata",
    tag: 'artifacts',
    params: artifactParams,
    reply: Metadata,
    errors: ['artifact_not_found', 'artifact_ambiguous'],
  },
  addArtifactMetadata: {
    summary: 'Set one metadata value',
    tag: 'artifacts',
    params: artifactParams,
    body: newMetadata,
    invalid: invalidMetadata,
    reply: Nothing,
    errors: ['artifact_not_found', 'artifact_ambiguous', ...metadataErrors],
  },
  setArtifactMetadata: {
    summary: 'Set one metadata value',
    tag: 'artifacts',
    params: Type.Object({ artifact_ref: Type.String({ minLength: 1 }), key: MetadataKey }),
    body: newMetadataValue,
    invalid: invalidMetadata,
    reply: Nothing,
    errors: ['artifact_not_found', 'artifact_ambiguous', ...metadataErrors],
  },
  deleteArtifactMetadata: {
    summary: 'Delete one metadata value; a missing one is fine',
    tag: 'artifacts',
    params: Type.Object({ artifact_ref: Type.String({ minLength: 1 }), key: MetadataKey }),
    reply: Nothing,
    errors: ['artifact_not_found', 'artifact_ambiguous'],
  },

  updateLabel: {
    summary: 'Point a label of the own namespace at a blob',
    tag: 'labels',
    params: labelParams,
    body: labelBody,
    invalid: invalidLabel,
    reply: ArtifactView,
    errors: labelErrors,
  },
  showLabel: {
    summary: 'Show a label of the own namespace',
    tag: 'labels',
    params: labelParams,
    reply: ArtifactView,
    errors: ['label_not_found'],
  },
  deleteLabel: {
    summary: 'Delete a label of the own namespace',
    tag: 'labels',
    params: labelParams,
    reply: ArtifactView,
    errors: ['label_not_found'],
  },
  updateNamespacedLabel: {
    summary: 'Point a label at a blob',
    tag: 'labels',
    params: namespacedLabelParams,
    body: labelBody,
    invalid: invalidLabel,
    reply: ArtifactView,
    errors: labelErrors,
  },
  showNamespacedLabel: {
    summary: 'Show a label',
    tag: 'labels',
    params: namespacedLabelParams,
    reply: ArtifactView,
    errors: ['label_not_found'],
  },
  deleteNamespacedLabel: {
    summary: 'Delete a label',
    tag: 'labels',
    params: namespacedLabelParams,
    reply: ArtifactView,
    errors: ['label_not_found'],
  },

  listBlobs: {
    summary: 'All blobs (system only)',
    tag: 'blobs',
    query: BlobQuery,
    body: Type.Object({ node: Maybe(Type.String()) }),
    reply: Type.Array(BlobView),
    errors: ['cursor_invalid', 'system_only'],
  },
  showBlob: {
    summary: 'Show a blob',
    tag: 'blobs',
    params: blobParams,
    reply: BlobView,
    errors: ['blob_not_found'],
  },
  readBlob: {
    summary: "A blob's bytes, from any offset",
    tag: 'blobs',
    params: blobParams,
    query: blobDataQuery,
    headers: Type.Object({
      range: Type.Optional(Type.String({ description: 'One range of bytes (RFC 9110); answered with 206' })),
      prefer: Type.Optional(
        Type.String({
          description:
            'With "redirect" the server may answer 307 with a URL of the store that holds the bytes; nobody but the client checks them then',
        }),
      ),
      'if-range': Type.Optional(Type.String()),
      'if-none-match': Type.Optional(Type.String()),
    }),
    reply: { raw: 'text/plain', description: 'The bytes' },
    errors: ['blob_not_found', 'blob_damaged', 'range_not_satisfiable', 'blob_store_unavailable'],
  },
  headBlobData: {
    summary: "The headers of a blob's bytes: size, ETag, Repr-Digest",
    tag: 'blobs',
    params: blobParams,
    query: blobDataQuery,
    headers: Type.Object({ 'if-none-match': Type.Optional(Type.String()) }),
    reply: { raw: 'none', description: 'Headers only' },
    errors: ['blob_not_found', 'blob_damaged'],
  },
  showBlobChecksum: {
    summary: 'One digest of a blob, null while it is still being computed',
    tag: 'blobs',
    params: Type.Object({ blob_uuid: Type.String(), algorithm: Type.String() }),
    reply: Type.Union([Type.String(), Type.Null()]),
    errors: ['blob_not_found', 'hash_algorithm_unknown'],
  },
  listBlobEvents: {
    summary: "A blob's history, newest first unless `sort` says otherwise",
    tag: 'blobs',
    params: blobParams,
    query: EventQuery,
    body: EventFilter,
    reply: Type.Array(EventView),
    errors: ['cursor_invalid', 'blob_not_found'],
  },
  showBlobMetadata: {
    summary: "A blob's metadata",
    tag: 'blobs',
    params: blobParams,
    reply: Metadata,
    errors: ['blob_not_found'],
  },
  addBlobMetadata: {
    summary: 'Set one metadata value',
    tag: 'blobs',
    params: blobParams,
    body: newMetadata,
    invalid: invalidMetadata,
    reply: Nothing,
    errors: ['blob_not_found', ...metadataErrors],
  },
  setBlobMetadata: {
    summary: 'Set one metadata value',
    tag: 'blobs',
    params: Type.Object({ blob_uuid: Type.String(), key: MetadataKey }),
    body: newMetadataValue,
    invalid: invalidMetadata,
    reply: Nothing,
    errors: ['blob_not_found', ...metadataErrors],
  },
  deleteBlobMetadata: {
    summary: 'Delete one metadata value; a missing one is fine',
    tag: 'blobs',
    params: Type.Object({ blob_uuid: Type.String(), key: MetadataKey }),
    reply: Nothing,
    errors: ['blob_not_found'],
  },
  findBlob: {
    summary:
      'The blob with this digest, or null. A hit by sha512 or sha256 leases the blob to the asker for a while',
    tag: 'blobs',
    params: Type.Object({ algorithm: Type.String(), hash: Type.String() }),
    reply: Type.Union([BlobView, Type.Null()]),
    errors: ['hash_algorithm_unknown'],
  },

  ...adminContract,
  ...backupContract,

  deleteInstances: {
    summary: 'There are no instances here: an empty list',
    tag: 'server',
    body: cleanBody,
    reply: emptied,
    errors: [],
  },
  deleteNetworks: {
    summary: 'There are no networks here: an empty list',
    tag: 'server',
    body: cleanBody,
    reply: emptied,
    errors: [],
  },
} as const satisfies Record<RouteName, RouteContract>

type Contract = typeof contract
type StaticOf<R, P extends string> = R extends { readonly [K in P]: infer S extends TSchema }
  ? Static<S>
  : undefined

/** The path parameters, decoded. */
export type Params<K extends RouteName> = StaticOf<Contract[K], 'params'>
/** The query parameters. */
export type Query<K extends RouteName> = StaticOf<Contract[K], 'query'>
/** The JSON body of the request. */
export type Body<K extends RouteName> = StaticOf<Contract[K], 'body'>
/** The JSON reply; `undefined` where the reply is not JSON. */
export type Reply<K extends RouteName> = Contract[K]['reply'] extends TSchema
  ? Static<Contract[K]['reply']>
  : undefined
/** Routes that answer JSON. */
export type JsonRoute = { [K in RouteName]: Contract[K]['reply'] extends RawReply ? never : K }[RouteName]
/** Routes that answer something else, written by the HTTP layer itself. */
export type RawRoute = Exclude<RouteName, JsonRoute>

/** The contract of a route, without its exact schema types. */
export const routeContract = (name: RouteName): RouteContract => contract[name]

/** Whether a reply is something else than JSON described by a schema. */
export const isRawReply = (reply: TSchema | RawReply): reply is RawReply => 'raw' in reply

/** Refusals any route can answer. */
export const commonErrors = [
  'invalid_request',
  'invalid_json',
  'body_incomplete',
  'body_too_large',
  'unsupported_encoding',
  'headers_too_large',
  'request_timeout',
  'too_many_requests',
  'method_not_allowed',
  'internal',
  'unavailable',
  // Whatever writes can meet a full disk.
  'storage_full',
] as const satisfies readonly ErrorCode[]

/** Refusals of routes that need a token. */
export const tokenErrors = [
  'authorization_missing',
  'token_invalid',
  'token_expired',
  'token_revoked',
] as const satisfies readonly ErrorCode[]
