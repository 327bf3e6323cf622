/**
 * The independent half of the power-loss and faulty-disk suites: reads the database and the files by itself and compares
 * them with the book.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { sha512 } from './harness.ts'
import type { Book, UploadBelief } from './power-book.ts'

export interface CheckOptions {
  /** After a power cut unflushed bytes of uploads may be gone; after anything else they are all there. */
  readonly isPowerCut: boolean
  /** All grace periods have passed and all jobs have run: nothing may be left that nothing refers to. */
  readonly isQuiet: boolean
}

const known = /^(holdfast\.db(-wal|-shm)?|system\.key|token\.key|client\.json|uploads|blobs|quarantine)$/

/** Everything that is wrong, in words. */
export const findViolations = (directory: string, book: Book, options: CheckOptions): string[] => {
  const wrong: string[] = []
  const database = new DatabaseSync(join(directory, 'holdfast.db'), { readOnly: true })
  try {
    const rows = (query: string) => database.prepare(query).all() as Row[]
    checkUploads(directory, book, options, rows, wrong)
    checkArtifacts(book, rows, wrong)
    checkBlobs(directory, book, options, rows, wrong)
    for (const name of readdirSync(directory)) if (!known.test(name)) wrong.push(`stray file ${name}`)
  } finally {
    database.close()
  }
  return wrong
}

type Row = Record<string, string & number>
type Rows = (query: string) => Row[]

const checkUploads = (
  directory: string,
  book: Book,
  { isPowerCut, isQuiet }: CheckOptions,
  rows: Rows,
  wrong: string[],
): void => {
  const uuids = new Set<string>(rows('SELECT uuid FROM uploads').map((row) => row.uuid!))
  const found = readdirSync(join(directory, 'uploads')).sort()
  const wanted = [...uuids].flatMap((uuid) => [`${uuid}.data`, `${uuid}.state`]).sort()
  if (found.join() !== wanted.join()) wrong.push(`uploads/ holds ${found}, rows ask for ${wanted}`)
  if (isQuiet && uuids.size > 0) wrong.push('uploads that never expire')
  for (const [uuid, beliefs] of book.uploads) {
    const path = join(directory, 'uploads', `${uuid}.data`)
    const bytes = uuids.has(uuid) && existsSync(path) ? readFileSync(path) : undefined
    const isRight = (belief: UploadBelief) => {
      if (!belief) return !bytes
      // Nobody has promised more of an upload than that a kill leaves it alone.
      if (!bytes) return isPowerCut || isQuiet
      const { content, least } = belief
      return (
        bytes.length <= content.length &&
        (isPowerCut || bytes.length >= least) &&
        bytes.equals(content.subarray(0, bytes.length))
      )
    }
    if (!beliefs.some(isRight))
      wrong.push(
        `upload ${uuid} has ${bytes?.length ?? 'no'} bytes or others, promised were ` +
          beliefs
            .map((belief) => (belief ? `${belief.least} to ${belief.content.length}` : 'none'))
            .join(' or '),
      )
  }
}

const checkArtifacts = (book: Book, rows: Rows, wrong: string[]): void => {
  const found = new Map<string, string[]>()
  for (const row of rows(
    `SELECT artifacts.name, versions.idx, blobs.sha512 FROM artifacts
     LEFT JOIN versions ON versions.artifact_uuid = artifacts.uuid AND versions.live = 1
     LEFT JOIN blobs ON blobs.uuid = versions.blob_uuid AND blobs.state <> 'deleted'
     WHERE artifacts.state <> 'deleted' ORDER BY artifacts.name, versions.idx`,
  ))
    if (row.idx !== null) found.set(row.name!, [...(found.get(row.name!) ?? []), `${row.idx} ${row.sha512}`])
  for (const [name, beliefs] of book.artifacts) {
    const versions = found.get(name)?.join() ?? ''
    const isRight = beliefs.some(
      (belief) => belief.map(({ index, sha512: digest }) => `${index} ${digest}`).join() === versions,
    )
    if (!isRight)
      wrong.push(
        `"${name}" has the versions [${short(versions)}], promised were ` +
          beliefs
            .map((belief) => `[${belief.map((v) => `${v.index} ${v.sha512.slice(0, 8)}`)}]`)
            .join(' or '),
      )
    found.delete(name)
  }
  for (const name of found.keys()) if (!name.startsWith('goes on')) wrong.push(`unknown artifact "${name}"`)
}

const short = (text: string): string => text.replace(/([0-9a-f]{8})[0-9a-f]{120}/g, '$1')

const checkBlobs = (
  directory: string,
  book: Book,
  { isQuiet }: CheckOptions,
  rows: Rows,
  wrong: string[],
): void => {
  const blobs = new Map<string, Row>(rows('SELECT * FROM blobs').map((row) => [row.uuid!, row]))
  for (const [uuid, row] of blobs) {
    const path = join(directory, 'blobs', uuid.slice(0, 2), uuid)
    if (row.state === 'deleted') {
      if ((isQuiet || row.files_removed_at !== null) && existsSync(path))
        wrong.push(`the file of the deleted blob ${uuid} is there`)
      continue
    }
    if (book.damaged.has(row.sha512!)) continue
    if (row.state !== 'created') wrong.push(`blob ${uuid} is ${row.state} although nothing was damaged`)
    else if (!existsSync(path)) wrong.push(`blob ${uuid} has no file`)
    else if (sha512(readFileSync(path)) !== row.sha512) wrong.push(`blob ${uuid} has other bytes`)
  }
  for (const directoryName of readdirSync(join(directory, 'blobs')))
    for (const name of readdirSync(join(directory, 'blobs', directoryName)))
      if (!blobs.has(name)) wrong.push(`blob file ${name} has no row`)
  for (const name of readdirSync(join(directory, 'quarantine'))) {
    const row = blobs.get(name)
    if (!row || (isQuiet && row.state !== 'quarantined')) wrong.push(`quarantine/${name} is left over`)
  }
  if (!isQuiet) return
  for (const { uuid } of rows(
    `SELECT uuid FROM blobs WHERE state <> 'deleted'
     AND uuid NOT IN (SELECT blob_uuid FROM versions WHERE live = 1)`,
  ))
    wrong.push(`blob ${uuid} has no reference after the grace`)
}
