/**
 * Access tokens: short-lived JWTs whose subject is a namespace and the name of one of its keys. Each carries the
 * nonce of that key, which changes whenever the key does; so replacing or deleting a key, or its namespace, voids its
 * tokens at once, and no list of revoked tokens is needed.
 */
import { hash } from 'node:crypto'
import { HoldfastError } from '@holdfast/api/errors'
import { errors, type JWTPayload, jwtVerify, SignJWT } from 'jose'
import { deleted } from '../db/database.ts'
import { prepared } from '../db/prepared.ts'
import type { Caller, Parts } from '../parts.ts'

const algorithm = 'HS256'
/** By how many seconds the clock of another node may be behind. A busy machine makes it wait for the database's time. */
const clockDifference = 60

/** A key as a token names it. */
export interface KeyIdentity {
  readonly namespace: string
  readonly keyName: string
  readonly nonce: string
}

/** An access token for the holder of a key, good for at least the configured lifetime. */
export const issueToken = (
  parts: Pick<Parts, 'clock' | 'config' | 'tokenKey'>,
  { namespace, keyName, nonce }: KeyIdentity,
): Promise<string> => {
  const now = parts.clock.now() / 1000
  return new SignJWT({ nonce })
    .setProtectedHeader({ alg: algorithm })
    .setSubject(JSON.stringify([namespace, keyName]))
    .setIssuedAt(Math.floor(now))
    .setNotBefore(Math.floor(now) - clockDifference)
    .setExpirationTime(Math.ceil(now + parts.config.tokenLifetime))
    .sign(parts.tokenKey)
}

/**
 * Who asks, by the value of the `Authorization` header. Throws `authorization_missing`, `token_invalid`,
 * `token_expired`, or `token_revoked` when the key is not any more what it was.
 */
export const verifyToken = async (
  parts: Pick<Parts, 'clock' | 'db' | 'tokenKey'>,
  authorizationHeader: string | undefined,
  requestId: string,
): Promise<Caller> => {
  if (!authorizationHeader) throw new HoldfastError('authorization_missing')
  const token = /^Bearer +(\S+) *$/i.exec(authorizationHeader)?.[1]
  if (token === undefined) throw new HoldfastError('token_invalid')
  const { namespace, keyName, nonce } = await readToken(parts, token)
  // Asked at every request: nothing is remembered of whether the key is still what it was.
  const [key] = await selectNonce(parts.db.read, { namespace, keyName })
  if (key?.nonce !== nonce) throw new HoldfastError('token_revoked')
  return { namespace, keyName, requestId }
}

const selectNonce = prepared((sql, { namespace, keyName }: { namespace: string; keyName: string }) =>
  sql
    .selectFrom('namespace_keys')
    .innerJoin('namespaces', 'namespaces.name', 'namespace_keys.namespace')
    .select('namespace_keys.nonce')
    .where('namespace_keys.namespace', '=', namespace)
    .where('namespace_keys.name', '=', keyName)
    .where('namespaces.state', '<>', deleted),
)

/** A token whose signature was right, and between which times (ms) it is good. */
interface SignedToken extends KeyIdentity {
  readonly notBefore: number
  readonly expires: number
}

/**
 * Tokens seen lately, by their digest, for each signing key: a client sends the same one with every request, and the
 * signature's check costs more than all the rest of it. The oldest goes first.
 */
const seenTokens = new WeakMap<Uint8Array, Map<string, SignedToken>>()
const maxSeenTokens = 1000

const readToken = async (parts: Pick<Parts, 'clock' | 'tokenKey'>, token: string): Promise<KeyIdentity> => {
  const now = parts.clock.now()
  const seen = seenTokens.get(parts.tokenKey) ?? new Map<string, SignedToken>()
  const digest = hash('sha256', token, 'base64url')
  const known = seen.get(digest)
  if (known && known.notBefore <= now && now < known.expires) return known
  try {
    const { payload } = await jwtVerify(token, parts.tokenKey, {
      algorithms: [algorithm],
      currentDate: new Date(now),
      requiredClaims: ['sub', 'nonce', 'iat', 'nbf', 'exp'],
    })
    const signed = {
      ...identityOf(payload),
      notBefore: payload.nbf! * 1000,
      expires: payload.exp! * 1000,
    }
    seen.delete(digest)
    if (seen.size >= maxSeenTokens) seen.delete(seen.keys().next().value!)
    seenTokens.set(parts.tokenKey, seen.set(digest, signed))
    return signed
  } catch (cause) {
    // The reasons differ for the log only; a client can do nothing but log in again.
    throw new HoldfastError(cause instanceof errors.JWTExpired ? 'token_expired' : 'token_invalid', {
      cause,
    })
  }
}

const identityOf = (payload: JWTPayload): KeyIdentity => {
  const subject: unknown = JSON.parse(payload.sub!)
  if (!Array.isArray(subject)) throw new TypeError('the subject is not a pair')
  const [namespace, keyName] = subject
  const { nonce } = payload
  if (typeof namespace !== 'string' || typeof keyName !== 'string' || typeof nonce !== 'string')
    throw new TypeError('the claims do not name a key')
  return { namespace, keyName, nonce }
}
