/**
 * Sums over blobs that leave others their turn.
 */
import type { Expression, ExpressionBuilder, SqlBool } from 'kysely'
import type { Schema } from '../db/schema.ts'
import type { Parts } from '../parts.ts'

/** Rows in one query: reads block the event loop. */
const rowsPerQuery = 1000

/** Which blobs; they must be searchable in the order of `column` and the UUID. */
export type BlobCondition = (eb: ExpressionBuilder<Schema, 'blobs'>) => Expression<SqlBool>

/** Number and bytes of the blobs of a condition, under which `column` is never null. */
export const sumBlobs = async (
  { db }: Pick<Parts, 'db'>,
  condition: BlobCondition,
  column: 'unreferenced_at' | 'verified_at',
): Promise<{ blobs: number; bytes: number }> => {
  const sum = { blobs: 0, bytes: 0 }
  let after: { at: number; uuid: string } | undefined
  for (;;) {
    const rows = await db.read
      .selectFrom('blobs')
      .select(['uuid', 'size', `${column} as at`])
      .where(condition)
      .$if(after !== undefined, (query) =>
        query.where(({ eb, refTuple, tuple }) =>
          eb(refTuple(column, 'uuid'), '>', tuple(after!.at, after!.uuid)),
        ),
      )
      .orderBy(column)
      .orderBy('uuid')
      .limit(rowsPerQuery)
      .execute()
    sum.blobs += rows.length
    sum.bytes += rows.reduce((bytes, row) => bytes + row.size, 0)
    const last = rows.at(-1)
    if (!last || rows.length < rowsPerQuery) return sum
    after = { at: last.at!, uuid: last.uuid }
    await new Promise(setImmediate)
  }
}
