/**
 * Lists of artifacts and of their versions, whole or in pages.
 *
 * What a caller may see is scattered among everybody's artifacts, so no single index has it in order. A list is
 * therefore merged from sources that each have one: every namespace within reach, and the shared artifacts. A page
 * costs a few rows of each, however many artifacts others have.
 */
import type { ArtifactView, VersionView } from '@holdfast/api/schemas'
import { type ExpressionBuilder, sql } from 'kysely'
import { deleted } from '../db/database.ts'
import type { ArtifactState, ArtifactType, Row, Schema } from '../db/schema.ts'
import type { Caller, Parts } from '../parts.ts'
import { artifactViews } from './artifact-view.ts'
import { blobViews } from './blob-view.ts'
import { decodeCursor, makePage, type Page } from './page.ts'
import { isShown } from './versions.ts'
import { findArtifact, mayAct, type Reach, reachOf, readableArtifacts } from './visibility.ts'

export interface PageInput {
  /** Absent: the whole list. */
  readonly limit?: number | undefined
  readonly cursor?: string | undefined
}

export interface ArtifactListInput extends PageInput {
  /** Only artifacts with a version whose bytes this node holds. */
  readonly node?: string | undefined
  readonly sort?: ArtifactSort | undefined
  readonly namePrefix?: string | undefined
  readonly type?: ArtifactType | undefined
  readonly namespace?: string | undefined
  /** Deleted artifacts are never listed, not even when asked for. */
  readonly state?: ArtifactState | undefined
  /** Milliseconds. */
  readonly createdAfter?: number | undefined
}

/** By which column, and with `-` from its end. */
export type ArtifactSort = 'created_at' | '-created_at' | 'name' | '-name'

/** Rows per step when the whole list is asked for: reads block the event loop. */
const rowsPerStep = 500

/** Live artifacts that the caller may see. */
export const listArtifacts = async (
  parts: Parts,
  caller: Caller,
  input: ArtifactListInput,
): Promise<Page<ArtifactView>> => {
  const { read } = parts.db
  const reach = await reachOf(read, caller)
  return inSteps(input, async (cursor, limit) => {
    const page = await readPage(parts, reach, { ...input, cursor }, limit)
    return { ...page, items: await artifactViews(read, reach, page.items) }
  })
}

/** The versions of an artifact, oldest first. */
export const listVersions = async (
  parts: Parts,
  caller: Caller,
  ref: string,
  input: PageInput,
): Promise<Page<VersionView>> => {
  const { read } = parts.db
  const artifact = await findArtifact(read, caller, ref, 'read')
  const reach = await reachOf(read, caller)
  const order = `versions ${artifact.uuid}`
  return inSteps(input, async (cursor, limit) => {
    const rows = await read
      .selectFrom('versions')
      .innerJoin('artifacts', 'artifacts.uuid', 'versions.artifact_uuid')
      .innerJoin('blobs', 'blobs.uuid', 'versions.blob_uuid')
      .selectAll('blobs')
      .select('versions.idx')
      .where('versions.artifact_uuid', '=', artifact.uuid)
      .where('versions.idx', '>', cursor === undefined ? 0 : decodeCursor(order, cursor, ['number'])[0])
      .where(isShown)
      .orderBy('versions.idx')
      .limit(limit + 1)
      .execute()
    const page = makePage(order, rows, limit, (row) => [row.idx])
    const views = await blobViews(read, reach, page.items, parts)
    return { ...page, items: views.map((view, at) => ({ ...view, index: page.items[at]!.idx })) }
  })
}

/** One page, or all of them one after the other with others getting their turn in between. */
const inSteps = async <T>(
  { limit, cursor }: PageInput,
  readStep: (cursor: string | undefined, limit: number) => Promise<Page<T>>,
): Promise<Page<T>> => {
  if (limit !== undefined) return readStep(cursor, limit)
  const items: T[] = []
  for (let at = cursor; ; ) {
    const page = await readStep(at, rowsPerStep)
    items.push(...page.items)
    if (page.next === undefined) return { items }
    at = page.next
    await new Promise(setImmediate)
  }
}

/** A part of what the caller sees that an index has in order: one namespace, the shared ones, or all. */
type Source = { readonly namespace: string } | 'shared' | 'all'

const sourcesOf = (reach: Reach, namespace: string | undefined): readonly Source[] => {
  if (namespace !== undefined) return mayAct(reach, namespace) ? [{ namespace }] : ['shared']
  return reach === 'all' ? ['all'] : [...reach.map((name) => ({ namespace: name })), 'shared']
}

const readPage = async (
  { db: { read } }: Pick<Parts, 'db'>,
  reach: Reach,
  input: ArtifactListInput,
  limit: number,
): Promise<Page<Row<'artifacts'>>> => {
  const sort = input.sort ?? 'created_at'
  const isDescending = sort.startsWith('-')
  const column = sort.replace('-', '') as 'created_at' | 'name'
  const order = `artifacts ${sort}`
  const after =
    input.cursor === undefined
      ? undefined
      : decodeCursor(order, input.cursor, [column === 'name' ? 'string' : 'number', 'string'])

  const matching = read
    .selectFrom('artifacts')
    .selectAll()
    .where('state', '<>', deleted)
    .where(readableArtifacts(reach))
    .where((eb) =>
      eb.and([
        ...(after
          ? [eb(eb.refTuple(column, 'uuid'), isDescending ? '<' : '>', eb.tuple(after[0] as never, after[1]))]
          : []),
        ...(input.namePrefix ? prefixed(eb, input.namePrefix) : []),
        ...(input.type ? [eb('type', '=', input.type)] : []),
        ...(input.state ? [eb('state', '=', input.state)] : []),
        ...(input.namespace === undefined ? [] : [eb('namespace', '=', input.namespace)]),
        ...(input.createdAfter === undefined ? [] : [eb('created_at', '>', input.createdAfter)]),
        ...(input.node === undefined ? [] : [holdsBytesOn(eb, input.node)]),
      ]),
    )
    .orderBy(column, isDescending ? 'desc' : 'asc')
    .orderBy('uuid', isDescending ? 'desc' : 'asc')
    .limit(limit + 1)

  const found: Row<'artifacts'>[] = []
  const sources = sourcesOf(reach, input.namespace)
  for (const source of sources) {
    let query = matching
    if (source === 'shared') {
      // Literal, for the sake of the index that holds only shared rows.
      query = query.where(sql<boolean>`shared = 1`)
      if (reach !== 'all') query = query.where('namespace', 'not in', reach)
    } else if (source !== 'all') query = query.where('namespace', '=', source.namespace)
    found.push(...(await query.execute()))
  }
  if (sources.length > 1) {
    const sign = isDescending ? -1 : 1
    found.sort((a, b) => sign * (compare(a[column], b[column]) || compare(a.uuid, b.uuid)))
  }
  return makePage(order, found, limit, (row) => [row[column], row.uuid])
}

/** The order of the database: text by its UTF-8 bytes, not by UTF-16 units. */
const compare = (a: string | number, b: string | number): number =>
  typeof a === 'string' && typeof b === 'string'
    ? Buffer.compare(Buffer.from(a), Buffer.from(b))
    : Number(a) - Number(b)

type OnArtifacts = ExpressionBuilder<Schema, 'artifacts'>

/** Names that begin so, as a range that an index can serve. */
const prefixed = (eb: OnArtifacts, prefix: string) => {
  const end = afterPrefix(prefix)
  return [eb('name', '>=', prefix), ...(end === undefined ? [] : [eb('name', '<', end)])]
}

/** The least text greater than all that begin with `prefix`; undefined when there is none. */
const afterPrefix = (prefix: string): string | undefined => {
  const points = [...prefix].map((character) => character.codePointAt(0)!)
  for (let last = points.pop(); last !== undefined; last = points.pop()) {
    if (last === 0x10ffff) continue
    // The surrogates between are no characters.
    const next = last === 0xd7ff ? 0xe000 : last + 1
    return String.fromCodePoint(...points, next)
  }
  return undefined
}

const holdsBytesOn = (eb: OnArtifacts, node: string) =>
  eb.exists(
    eb
      .selectFrom('versions')
      .innerJoin('blobs', 'blobs.uuid', 'versions.blob_uuid')
      .select('versions.idx')
      .whereRef('versions.artifact_uuid', '=', 'artifacts.uuid')
      .where('versions.live', '=', 1)
      .where('blobs.node', '=', node),
  )
