/**
 * The words a client searches for in the page at `GET /`, as plain substrings.
 *
 * `blob-data-limit` is missing on purpose: official clients of 2024 that see it never finish a blob of 512 MiB or
 * more (wire contract, B8). Words for instances and networks are not ours to claim.
 */
export const originalCapabilities = [
  'artifact-metadata',
  'artifact-upload-types',
  'blob-events',
  'blob-hash-sha1',
  'blob-hash-sha256',
  'blob-hash-xxh128',
  'blob-metadata',
  'blob-search-by-hash',
  'blob-single-checksum',
  'events-by-type',
] as const

/** What Holdfast adds to the original's API (wire contract, part C), one word an addition. */
export const holdfastCapabilities = [
  'admin-routes',
  'blob-data-range',
  'convert-expect',
  'error-codes',
  'paged-lists',
  'upload-offset',
  'upload-size',
  'upload-status',
] as const

export type Capability = (typeof originalCapabilities)[number] | (typeof holdfastCapabilities)[number]
