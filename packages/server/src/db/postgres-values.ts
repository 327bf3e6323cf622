/** How PostgreSQL's values become JavaScript's: numbers are numbers, and none is ever rounded. */
import { types } from 'pg'

const oid = { int8: 20, numeric: 1700 } as const

/** A whole number that is not exactly a JavaScript number is an error, not another number. */
const exactNumber = (text: string): number => {
  const number = Number(text)
  if (!Number.isSafeInteger(number) && !text.includes('.'))
    throw new RangeError(`a number of the database is too large to be exact: ${text}`)
  return number
}

/** `count` and `bigint` columns are int8, sums of them numeric; everything else is as `pg` has it. */
export const valueTypes: Pick<typeof types, 'getTypeParser'> = {
  getTypeParser: ((id: number, format?: 'text' | 'binary') =>
    id === oid.int8 || id === oid.numeric
      ? exactNumber
      : types.getTypeParser(id, format as 'text')) as typeof types.getTypeParser,
}

/** A view into shared memory, or into a buffer that its owner will use again, is copied when it is sent: see `pg`. */
export const toParameters = (parameters: readonly unknown[]): unknown[] =>
  parameters.map((value) =>
    ArrayBuffer.isView(value) && !Buffer.isBuffer(value)
      ? Buffer.from(value.buffer, value.byteOffset, value.byteLength)
      : value,
  )
