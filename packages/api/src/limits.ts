/**
 * Limits that are part of the contract: the same for every server, known to clients. Limits an operator may change
 * are settings of the server (see its `config.ts`).
 */

/** Longest name of an artifact or label, in characters (wire contract, "Converting"). */
export const maxNameLength = 255
/** Longest namespace or key name, in characters. */
export const maxNamespaceLength = 64
/** Longest URL accepted as `source_url` or to fetch from, in characters. */
export const maxUrlLength = 4096
/** Largest JSON request body, in bytes. Uploads' data is not JSON and has its own limit. */
export const maxJsonBytes = 1024 * 1024
/** Most events one reply holds (servers of 2026 answer at most this many). */
export const maxEvents = 1000
/** Events in a reply when the request names no limit. */
export const defaultEvents = 100
/** Versions an artifact keeps unless somebody says otherwise. */
export const defaultMaxVersions = 3
/** Largest value `max_versions` may take. */
export const maxMaxVersions = 1_000_000
/** Largest page of a paged list. */
export const maxPageSize = 1000
/** Longest cursor, in characters: it may hold a name of 255 characters of four bytes each. */
export const maxCursorLength = 2048
/** Longest text that a list is asked for by a metadata value, in characters. */
export const maxFilterLength = 1024
/** All metadata of one object together, in bytes of JSON. */
export const maxMetadataBytes = 256 * 1024
/** Longest metadata key, in characters. */
export const maxMetadataKeyLength = 255
/** Block of a blob that has a checksum of its own, in bytes. */
export const blockSize = 1024 * 1024
