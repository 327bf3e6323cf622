/** What the errors of PostgreSQL and of the way to it mean to the rest of the server. */
import { HoldfastError } from '@holdfast/api/errors'
import { DatabaseError } from 'pg'
import { ConstraintError, type ConstraintKind } from './database.ts'

/**
 * - `conflict`: the transaction was undone because of another one; run again, it may succeed.
 * - `lost`: the database went away, or never answered. Of a commit under way nobody knows whether it took place.
 * - `other`: the statement was refused; a transaction it was in has failed.
 */
export type FailureKind = 'conflict' | 'lost' | 'other'

// SQLSTATEs: https://www.postgresql.org/docs/15/errcodes-appendix.html
const conflicts = new Set(['40001', '40P01'])
/** Shutdown, crash, start, time-outs that end the session, too many connections; and class 08. */
const losses = new Set(['57P01', '57P02', '57P03', '57P05', '25P03', '53300'])
const timeouts = new Set(['57014', '55P03'])
const constraintKinds: Readonly<Record<string, ConstraintKind>> = {
  '23502': 'not_null',
  '23503': 'foreign_key',
  '23505': 'unique',
  '23514': 'check',
}

/** How `pg` words a connection that broke, was refused, or was too slow; it gives these errors no code. */
const lostConnection = /^(Connection|Client|Query read timeout|timeout exceeded|server closed)/i

/** What kind of failure a rejected promise of `pg` tells of. */
export const failureKind = (error: unknown): FailureKind => {
  if (error instanceof DatabaseError) {
    const code = error.code ?? ''
    if (conflicts.has(code)) return 'conflict'
    return losses.has(code) || code.startsWith('08') ? 'lost' : 'other'
  }
  const { code, syscall, message } = (error ?? {}) as { code?: unknown; syscall?: unknown; message?: unknown }
  const isSystemError = typeof syscall === 'string' || /^(E[A-Z]+|ERR_(SSL|TLS)_\w+)$/.test(String(code))
  return isSystemError || lostConnection.test(String(message)) ? 'lost' : 'other'
}

/**
 * The error that callers of `Database` see. Only PostgreSQL's message is kept: the details hold whole rows, and rows
 * hold what no log may have.
 */
export const toDatabaseError = (error: unknown, during: 'read' | 'write'): Error => {
  if (error instanceof HoldfastError || error instanceof ConstraintError) return error
  if (!(error instanceof DatabaseError))
    return failureKind(error) === 'lost'
      ? new HoldfastError('unavailable', { cause: error })
      : (error as Error)
  const code = error.code ?? ''
  const cause = new Error(`PostgreSQL: ${error.message} (SQLSTATE ${code || 'none'})`)
  if (code.startsWith('23'))
    return new ConstraintError(constraintKinds[code] ?? 'other', error.message, { cause })
  if (code === '22021')
    return new HoldfastError('invalid_request', { message: 'text may not hold the character U+0000', cause })
  if (code === '53100') return new HoldfastError('storage_full', { cause })
  if (code === '58030')
    return new HoldfastError(during === 'write' ? 'storage_full' : 'unavailable', { cause })
  // A standby, or a server that its operator made read-only.
  if (code === '25006' && during === 'write') return new HoldfastError('unavailable', { cause })
  return failureKind(error) !== 'other' || timeouts.has(code) || code.startsWith('53')
    ? new HoldfastError('unavailable', { cause })
    : cause
}
