/**
 * The error table: every way a request can be refused, once.
 *
 * A code is a promise to programs and never changes its meaning; the message is for people. `status` is what
 * the original server answers where it knows the case (wire contract, parts A and B); `retryable` tells a client
 * whether the same request may succeed later without anybody changing anything.
 * `docs/errors.md` is made from this table, and a test holds the two equal.
 */
export interface ErrorEntry {
  readonly status: number
  readonly message: string
  readonly retryable: boolean
}

const define = <T extends Record<string, readonly [status: number, message: string, retryable?: 'retry']>>(
  rows: T,
): { readonly [K in keyof T]: ErrorEntry } =>
  Object.fromEntries(
    Object.entries(rows).map(([code, [status, message, retry]]) => [
      code,
      { status, message, retryable: retry === 'retry' },
    ]),
  ) as { readonly [K in keyof T]: ErrorEntry }

export const errorTable = define({
  // The request itself
  invalid_request: [400, 'the request is not valid'],
  cursor_invalid: [400, 'the cursor is not one of this list and this order'],
  invalid_json: [400, 'the request body is not valid JSON'],
  body_incomplete: [400, 'the request body ended before its announced length', 'retry'],
  route_not_found: [404, 'there is no such route'],
  method_not_allowed: [405, 'method not allowed'],
  request_timeout: [408, 'the request took too long to arrive', 'retry'],
  body_too_large: [413, 'the request body is larger than allowed'],
  unsupported_encoding: [415, 'request bodies with a Content-Encoding are not accepted'],
  range_not_satisfiable: [416, 'the requested range lies outside the blob'],
  headers_too_large: [431, 'the request headers are larger than allowed'],
  too_many_requests: [429, 'too many requests, try again later', 'retry'],

  // Who is asking
  namespace_missing: [400, 'missing namespace in request'],
  key_missing: [400, 'missing key in request'],
  key_not_string: [400, 'key is not a string'],
  wrong_key: [401, 'unauthorized'],
  too_many_attempts: [429, 'too many failed logins, try again later', 'retry'],
  authorization_missing: [401, 'Missing Authorization Header'],
  token_invalid: [401, 'the access token is not valid'],
  token_expired: [401, 'the access token has expired'],
  token_revoked: [401, 'the key behind this access token has been replaced or deleted'],
  system_only: [401, 'unauthorized'],

  // Namespaces, keys, trusts
  namespace_not_found: [404, 'namespace not found'],
  namespace_exists: [403, 'namespace exists'],
  namespace_not_specified: [400, 'no namespace specified'],
  namespace_illegal: [400, 'illegal namespace name'],
  namespace_protected: [403, 'you cannot delete the system namespace'],
  key_not_specified: [400, 'no key specified'],
  key_name_not_specified: [400, 'no key name specified'],
  key_name_illegal: [403, 'illegal key name'],
  key_name_not_found: [404, 'key name not found in namespace'],
  external_namespace_not_specified: [400, 'no external namespace specified'],
  value_not_specified: [400, 'no value specified'],
  metadata_too_large: [400, 'the metadata of this object would be larger than allowed'],

  // Uploads
  upload_not_found: [404, 'upload not found'],
  upload_busy: [409, 'another request is writing to this upload', 'retry'],
  offset_mismatch: [409, 'the upload has another size than Upload-Offset says'],
  truncate_out_of_range: [400, 'cannot truncate an upload beyond its size'],
  upload_damaged: [
    409,
    'bytes of this upload were lost on the way to the disk; truncate it to the offset in the detail and send the rest again',
  ],
  upload_node_gone: [
    503,
    'the node that holds the bytes of this upload is gone; begin the upload again, unless it comes back',
  ],
  size_exceeds_declared: [413, 'the upload would grow beyond its declared size'],
  file_too_large: [413, 'the file is larger than this server accepts'],
  storage_full: [507, 'not enough free space on the server'],
  quota_exceeded: [507, 'the namespace has used up its quota'],

  // Converting
  one_source_only: [400, 'only specify one of upload_uuid and blob_uuid'],
  no_source: [400, 'specify one of upload_uuid and blob_uuid'],
  upload_empty: [400, 'the upload has no data'],
  size_mismatch: [409, 'the upload has another size than expected'],
  digest_mismatch: [409, 'the upload has another sha512 than expected'],
  share_system_only: [403, 'only the system namespace can create shared artifacts'],
  artifact_type_invalid: [403, 'invalid artifact type specified'],
  name_invalid: [400, 'invalid artifact name'],

  // Artifacts, versions, labels
  artifact_not_found: [404, 'artifact not found'],
  artifact_ambiguous: [400, 'multiple artifacts have the name'],
  confirm_missing: [400, 'parameter confirm is not set true'],
  namespace_required: [400, 'system user must specify parameter namespace'],
  foreign_namespace: [401, 'you cannot delete other namespaces'],
  max_versions_invalid: [400, 'max version is not an integer'],
  version_index_invalid: [400, 'version index is not an integer'],
  version_not_found: [404, 'artifact index not found'],
  not_shareable: [403, 'only artifacts in the system namespace can be shared'],
  not_shared: [403, 'artifact not shared'],
  label_not_found: [404, 'label not found'],
  url_not_specified: [400, 'no url specified'],
  url_invalid: [400, 'the url is not valid'],
  url_forbidden: [403, 'the server may not fetch from this address'],

  // Blobs
  blob_not_found: [404, 'blob not found'],
  blob_damaged: [
    503,
    'the stored bytes of this blob are damaged or missing; upload the same content again to heal it',
  ],
  hash_algorithm_unknown: [400, 'unknown hash algorithm'],

  // Administration
  job_not_found: [404, 'there is no such job'],
  node_not_found: [404, 'there is no such node'],
  node_running: [409, 'the node is running'],
  backup_impossible: [409, 'this server makes no backups'],
  backup_name_invalid: [400, 'a backup is named by letters, digits, dots, dashes and underscores'],
  backup_running: [409, 'another backup is running'],
  check_running: [409, 'another check is running'],

  // The server
  internal: [500, 'internal server error', 'retry'],
  blob_store_unavailable: [503, 'the store that holds the content does not answer at the moment', 'retry'],
  unavailable: [503, 'the server is stopping or not ready', 'retry'],
})

/** The name of an entry in the error table. */
export type ErrorCode = keyof typeof errorTable

/** Facts about a refusal that programs may use, sent as `detail`: limits, true offsets, candidates. */
export type ErrorDetail = Readonly<Record<string, unknown>>

/**
 * A refusal with a code of the error table. The domain throws it, the HTTP layer answers with it, and the client
 * library throws it again on the other side.
 */
export class HoldfastError extends Error {
  override readonly name = 'HoldfastError'
  readonly code: ErrorCode
  readonly detail: ErrorDetail | undefined

  /** `message` replaces the table's text where a case needs its own words; `detail` goes to the client. */
  constructor(code: ErrorCode, options: { message?: string; detail?: ErrorDetail; cause?: unknown } = {}) {
    super(
      options.message ?? errorTable[code].message,
      options.cause === undefined ? {} : { cause: options.cause },
    )
    this.code = code
    this.detail = options.detail
  }

  get status(): number {
    return errorTable[this.code].status
  }

  get retryable(): boolean {
    return errorTable[this.code].retryable
  }
}

/** Whether `error` is a refusal, optionally with this very code. */
export const isHoldfastError = (error: unknown, code?: ErrorCode): error is HoldfastError =>
  error instanceof HoldfastError && (code === undefined || error.code === code)

/** Whether `code` names an entry of this table; a newer server may know more. */
export const isErrorCode = (code: unknown): code is ErrorCode =>
  typeof code === 'string' && Object.hasOwn(errorTable, code)
