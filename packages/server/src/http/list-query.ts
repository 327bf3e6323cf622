/** What lists take from the query, for the domain. */
import type { MetadataFilter } from '../domain/artifact-list.ts'

const metadataPrefix = 'metadata.'

/** The fields `metadata.KEY=TEXT`, which the contract describes by a pattern. */
export const metadataOf = (query: object): MetadataFilter =>
  Object.entries(query).flatMap(([field, text]) =>
    field.startsWith(metadataPrefix) ? [[field.slice(metadataPrefix.length), String(text)] as const] : [],
  )

/** From seconds with a fraction to milliseconds: a time that a view tells is that time exactly. */
export const millisOf = (seconds: number | undefined): number | undefined =>
  seconds === undefined ? undefined : Math.round(seconds * 1_000_000) / 1000
