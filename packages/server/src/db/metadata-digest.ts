/**
 * What a metadata value is found by: lists ask for `metadata.KEY=TEXT`, and a value may be far longer than what an
 * index holds.
 */
import { createHash } from 'node:crypto'

/** What people write to ask for a value: a text itself, of anything else its JSON. */
const textOf = (value: unknown): string => (typeof value === 'string' ? value : JSON.stringify(value))

/** The digest of the text that asks for a value. Part of the database: it never changes. */
export const textDigest = (text: string): string =>
  createHash('sha256').update(text).digest('hex').slice(0, 32)

/** The digest of a value that is stored as JSON. */
export const valueDigest = (json: string): string => textDigest(textOf(JSON.parse(json)))
