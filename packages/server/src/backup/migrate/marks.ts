/**
 * What a store knows of being moved: one row of `settings` at either end. It is what keeps two servers from going on with the
 * same store, and half of a store from being taken for one.
 *
 * | mark | stands in | a server |
 * | --- | --- | --- |
 * | `leaving` | the old store, from before the first byte is copied | does not start |
 * | `left` | the old store, once the new one is complete | does not start |
 * | `arriving` | the new store, before anything else in it | does not start |
 * | `arrived` | the new store, from its completion on | starts |
 */
import type { Database, Sql } from '../../db/database.ts'
import { readSetting, writeSetting } from '../store-settings.ts'

/** The name of the row. It is never carried to another store. */
export const migrationSetting = 'migration'

export interface Mark {
  readonly state: 'leaving' | 'left' | 'arriving' | 'arrived'
  /** The same at both ends. */
  readonly id: string
  /** Where the other end is, in words without secrets. */
  readonly other: string
  /** When it began or ended; ms since 1970. */
  readonly at: number
}

/** The store is being moved, or was moved elsewhere: no server may go on with it. */
export class MovedStoreError extends Error {
  override readonly name = 'MovedStoreError'
}

export const parseMark = (text: string | undefined): Mark | undefined =>
  text === undefined ? undefined : (JSON.parse(text) as Mark)

export const readMark = async (sql: Sql): Promise<Mark | undefined> =>
  parseMark(await readSetting(sql, migrationSetting))

export const writeMark = (sql: Sql, mark: Mark): Promise<void> =>
  writeSetting(sql, migrationSetting, JSON.stringify(mark))

export const removeMark = async (sql: Sql): Promise<void> => {
  await sql.deleteFrom('settings').where('name', '=', migrationSetting).execute()
}

/** Throws `MovedStoreError` for a store that no server may go on with. */
export const refuseMovedStore = async (db: Database): Promise<void> => {
  const mark = await readMark(db.read)
  if (mark === undefined || mark.state === 'arrived') return
  const day = new Date(mark.at).toISOString()
  const words = {
    leaving:
      `This store is being moved to ${mark.other} since ${day}, and that has not ended. Repeat holdfast-server migrate; or ` +
      'give it up with holdfast-server migrate --reopen, and what has been copied is worth nothing.',
    left:
      `This store was moved to ${mark.other} at ${day} and goes on there: start the server with those settings. To go on ` +
      'here nevertheless, without what was stored there since: holdfast-server migrate --reopen.',
    arriving:
      `This store is only a part of the one that is being moved here from ${mark.other} since ${day}. Repeat ` +
      'holdfast-server migrate there.',
  } as const
  throw new MovedStoreError(words[mark.state])
}
