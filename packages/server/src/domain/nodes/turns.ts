/**
 * Turns: what one node of a store does at a time, a job or the moving of a blob's bytes.
 *
 * A turn is a row with an end in time, which its holder puts off while it works. When the holder falls silent the turn
 * passes to whoever asks next. **The holder may be alive nevertheless**, frozen or cut off, and go on later. So everything it
 * commits is fenced: each of its transactions first looks whether the turn is still its own (`fencedBy`), and whoever takes a
 * turn changes what these look at; the transactions are serializable, so one of the two comes first. Time only decides when
 * others may take over, never what is true.
 *
 * What a late holder does outside of the database cannot be fenced, and has to be harmless: see the callers.
 */
import { randomUUID } from 'node:crypto'
import type { Transaction } from 'kysely'
import type { Database, Sql } from '../../db/database.ts'
import type { Schema } from '../../db/schema.ts'
import type { Parts } from '../../parts.ts'

type TurnParts = Pick<Parts, 'db' | 'clock' | 'nodes' | 'log'>

/** The turn has passed to another. */
export class TurnLostError extends Error {
  override readonly name = 'TurnLostError'
}

export interface Turn {
  /** Aborted when the turn has passed to another, or must be taken for passed. */
  readonly signal: AbortSignal
  /** In a transaction: throws `TurnLostError` unless the turn is still one's own. */
  check(trx: Sql): Promise<void>
  /** Gives it to others. May be repeated; never rejects. */
  release(): Promise<void>
}

/** How often a turn is put off within its time. */
const renewalsInTime = 3

/** Takes the turn of this name for `lifetimeMs`, put off for as long as it is held; undefined when another has it. */
export const takeTurn = async (
  parts: TurnParts,
  name: string,
  lifetimeMs: number,
): Promise<Turn | undefined> => {
  const { db, clock, nodes } = parts
  const holder = `${nodes.run} ${randomUUID()}`
  const isFree = async (sql: Sql): Promise<boolean> => {
    const row = await sql.selectFrom('turns').select('expires_at').where('name', '=', name).executeTakeFirst()
    return row === undefined || row.expires_at <= clock.now()
  }
  // A look without a transaction first: mostly another has it for long.
  if (!(await isFree(db.read))) return undefined
  const isTaken = await db.write(async (trx) => {
    if (!(await isFree(trx))) return false
    const row = { holder, expires_at: clock.now() + lifetimeMs }
    await trx
      .insertInto('turns')
      .values({ name, ...row })
      .onConflict((conflict) => conflict.column('name').doUpdateSet(row))
      .execute()
    return true
  })
  return isTaken ? holdTurn(parts, name, holder, lifetimeMs) : undefined
}

const holdTurn = ({ db, clock, log }: TurnParts, name: string, holder: string, lifetimeMs: number): Turn => {
  const lost = new AbortController()
  /** By `performance.now()`: until when nobody else can have it. */
  let safeUntil = performance.now() + lifetimeMs
  const renew = async () => {
    const askedAt = performance.now()
    const { numUpdatedRows } = await db.write((trx) =>
      trx
        .updateTable('turns')
        .set({ expires_at: clock.now() + lifetimeMs })
        .where('name', '=', name)
        .where('holder', '=', holder)
        .executeTakeFirstOrThrow(),
    )
    if (numUpdatedRows === 0n) lost.abort(new TurnLostError(`another node has taken over: ${name}`))
    else safeUntil = askedAt + lifetimeMs
  }
  const timer = setInterval(() => {
    renew().catch((error) => {
      log.warn({ err: error, turn: name }, 'a turn was not put off')
      if (performance.now() > safeUntil)
        lost.abort(new TurnLostError(`the turn was not put off in time: ${name}`))
    })
  }, lifetimeMs / renewalsInTime)
  timer.unref()
  let isHeld = true
  return {
    signal: lost.signal,
    async check(trx) {
      const row = await trx.selectFrom('turns').select('holder').where('name', '=', name).executeTakeFirst()
      if (row?.holder !== holder) throw new TurnLostError(`another node has taken over: ${name}`)
    },
    async release() {
      clearInterval(timer)
      if (!isHeld) return
      isHeld = false
      await db
        .write((trx) =>
          trx.deleteFrom('turns').where('name', '=', name).where('holder', '=', holder).execute(),
        )
        .catch((error) => log.warn({ err: error, turn: name }, 'a turn was not given back; it will run out'))
    },
  }
}

/** The same parts, of which every write is refused once the turn is lost. */
export const fencedBy = <P extends Pick<Parts, 'db'>>(parts: P, turn: Turn): P => {
  const { db } = parts
  const fenced: Database = {
    ...db,
    write: <T>(work: (trx: Transaction<Schema>) => Promise<T>) =>
      db.write(async (trx) => {
        await turn.check(trx)
        return work(trx)
      }),
  }
  return { ...parts, db: fenced }
}
