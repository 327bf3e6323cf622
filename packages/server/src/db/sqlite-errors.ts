/** What SQLite's result codes mean to the rest of the server. */
import { HoldfastError } from '@holdfast/api/errors'
import { ConstraintError, type ConstraintKind } from './database.ts'
import type { SqliteFailure } from './sqlite-connection.ts'

// Primary result codes: the low byte of an extended one. https://sqlite.org/rescode.html
const busy = 5
const locked = 6
const ioError = 10
const full = 13
const constraint = 19

const constraintKinds: Readonly<Record<number, ConstraintKind>> = {
  275: 'check',
  787: 'foreign_key',
  1299: 'not_null',
  1555: 'unique', // primary key
  2067: 'unique',
  2579: 'unique', // rowid
}

/** Whether another process's transaction was in the way. */
export const isBusy = ({ code }: SqliteFailure): boolean => code !== undefined && (code & 0xff) === busy

/**
 * The error that callers of `Database` see. A disk that fails under a write counts as full: either way nothing was
 * stored and the operator has to look at the disk; under a read it makes the server unavailable.
 */
export function toDatabaseError(failure: SqliteFailure, during: 'read' | 'write'): Error {
  const cause = new Error(`SQLite: ${failure.message} (result code ${failure.code ?? 'none'})`)
  if (failure.code === undefined) return cause
  switch (failure.code & 0xff) {
    case constraint:
      return new ConstraintError(constraintKinds[failure.code] ?? 'other', failure.message)
    case full:
      return new HoldfastError('storage_full', { cause })
    case ioError:
      return new HoldfastError(during === 'write' ? 'storage_full' : 'unavailable', { cause })
    case busy:
    case locked:
      return new HoldfastError('unavailable', { cause })
    default:
      return cause
  }
}
