/**
 * What clients see of a namespace.
 */
import type { NamespaceView } from '@holdfast/api/schemas'
import type { Sql } from '../db/database.ts'
import type { Row } from '../db/schema.ts'
import { keyNamesOf } from './keys.ts'
import { readMetadataOf } from './metadata.ts'
import { type Reach, systemNamespace } from './visibility.ts'

/** The version of this view in the original's numbering. */
const viewVersion = 5

/** The views of some namespaces, which the caller must have found to be within `reach`, in the order of `rows`. */
export const namespaceViews = async (
  sql: Sql,
  reach: Reach,
  rows: readonly Row<'namespaces'>[],
): Promise<NamespaceView[]> => {
  const names = rows.map((row) => row.name)
  // With everything in reach and more than one row it is the whole list: asking by name would only cost.
  const wanted = reach === 'all' && rows.length > 1 ? 'all' : names
  const keys = await keyNamesOf(sql, wanted)
  const trusts = await trustedBy(sql, wanted)
  const metadata = await readMetadataOf(sql, 'namespace', names, reach)
  return rows.map(({ name, state }) => ({
    name,
    state,
    metadata: metadata.get(name)!,
    version: viewVersion,
    keys: keys.get(name) ?? [],
    trust: { full: [systemNamespace, ...(trusts.get(name) ?? [])] },
  }))
}

/** Whom some namespaces trust, or all of them, besides `system`; with one query. */
const trustedBy = async (sql: Sql, namespaces: 'all' | readonly string[]): Promise<Map<string, string[]>> => {
  const rows = await sql
    .selectFrom('trusts')
    .selectAll()
    .$if(namespaces !== 'all', (query) => query.where('namespace', 'in', namespaces as string[]))
    .orderBy('trusted')
    .execute()
  const trusted = new Map<string, string[]>()
  for (const row of rows) trusted.set(row.namespace, [...(trusted.get(row.namespace) ?? []), row.trusted])
  return trusted
}
