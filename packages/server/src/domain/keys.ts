/**
 * Keys: the secrets by which a namespace logs in.
 *
 * Kept as argon2id hashes. All keys of a namespace share one salt, made from its epoch: so a login costs one hash
 * however many keys there are, and as much for a namespace that has none. The salt still differs between
 * namespaces and between lives of a name; equal keys of one namespace have equal hashes, which tells its owner
 * nothing new.
 */
import { createHash, randomUUID, timingSafeEqual } from 'node:crypto'
import { HoldfastError } from '@holdfast/api/errors'
import { hash } from '@node-rs/argon2'
import { deleted, type Sql } from '../db/database.ts'
import type { Row } from '../db/schema.ts'
import type { Caller, Parts } from '../parts.ts'
import { recordEvent } from './events.ts'
import { issueToken, type KeyIdentity } from './tokens.ts'
import { requireNamespace } from './visibility.ts'

/** Argon2id with the parameters that OWASP recommends: some tens of milliseconds. Changing them voids all keys. */
const hashOptions = { memoryCost: 19_456, timeCost: 2, parallelism: 1, outputLen: 32 } as const

/** The hash under which a key of the namespace with this epoch is stored. Waits for its turn; off the event loop. */
export const hashKey = (parts: Pick<Parts, 'logins'>, key: string, epoch: string): Promise<string> =>
  parts.logins.keySetting.run(() => hashNow(key, epoch))

const hashNow = (key: string, epoch: string): Promise<string> =>
  hash(key, { ...hashOptions, salt: createHash('sha256').update(epoch).digest().subarray(0, 16) })

/**
 * Exchanges a key for an access token. Throws `namespace_not_found`, `wrong_key`, or `too_many_attempts` after
 * too many wrong keys.
 */
export const authenticate = async (
  parts: Parts,
  { namespace, key }: { readonly namespace: string; readonly key: string },
  address: string,
): Promise<string> => {
  const { limiter, recentKeys, hashing } = parts.logins
  const attempt = { namespace, address }
  const { epoch, keys } = await readKeys(parts.db.read, namespace)

  const findRecent = (): KeyIdentity | undefined => {
    // Before anything that tells right keys from wrong ones: those who have to wait must not learn it here.
    limiter.check(attempt, parts.clock.now())
    const recent = recentKeys.find(namespace, key, parts.clock.now())
    const same = keys.find(({ name, nonce }) => name === recent?.keyName && nonce === recent.nonce)
    return same && { namespace, keyName: same.name, nonce: same.nonce }
  }

  const findByHash = async (): Promise<KeyIdentity> => {
    // While this login waited for its turn, others may have used up the guesses, or have proved the same key.
    const recent = findRecent()
    if (recent) return recent
    const found = matching(keys, await hashNow(key, epoch))
    if (!found) {
      limiter.failed(attempt, parts.clock.now())
      parts.log.warn({ namespace, address }, 'login with a wrong key')
      throw new HoldfastError('wrong_key')
    }
    recentKeys.remember(namespace, key, { keyName: found.name, nonce: found.nonce }, parts.clock.now())
    return { namespace, keyName: found.name, nonce: found.nonce }
  }

  const identity = findRecent() ?? (await hashing.run(findByHash))
  limiter.succeeded(attempt)
  return issueToken(parts, identity)
}

type KeyRow = Pick<Row<'namespace_keys'>, 'name' | 'hash' | 'nonce'>

const readKeys = async (sql: Sql, namespace: string): Promise<{ epoch: string; keys: readonly KeyRow[] }> => {
  const rows = await sql
    .selectFrom('namespaces')
    .leftJoin('namespace_keys as keys', 'keys.namespace', 'namespaces.name')
    .select(['namespaces.epoch', 'keys.name', 'keys.hash', 'keys.nonce'])
    .where('namespaces.name', '=', namespace)
    .where('namespaces.state', '<>', deleted)
    .execute()
  const epoch = rows[0]?.epoch
  if (epoch === undefined) throw new HoldfastError('namespace_not_found')
  return { epoch, keys: rows.filter((row): row is typeof row & KeyRow => row.name !== null) }
}

/** Compares with every hash, wherever the right one stands. */
const matching = (keys: readonly KeyRow[], hashed: string): KeyRow | undefined => {
  const wanted = Buffer.from(hashed)
  let found: KeyRow | undefined
  for (const key of keys) {
    const stored = Buffer.from(key.hash)
    if (stored.length === wanted.length && timingSafeEqual(stored, wanted)) found = key
  }
  return found
}

/** The names of a namespace's keys, oldest first. */
export const listKeys = async (parts: Parts, caller: Caller, namespace: string): Promise<string[]> => {
  await requireNamespace(parts.db.read, caller, namespace)
  return (await keyNamesOf(parts.db.read, [namespace])).get(namespace) ?? []
}

/** The same for some namespaces, or for all of them, with one query. */
export const keyNamesOf = async (
  sql: Sql,
  namespaces: 'all' | readonly string[],
): Promise<Map<string, string[]>> => {
  const rows = await sql
    .selectFrom('namespace_keys')
    .select(['namespace', 'name'])
    .$if(namespaces !== 'all', (query) => query.where('namespace', 'in', namespaces as string[]))
    .orderBy('created_at')
    .orderBy('name')
    .execute()
  const names = new Map<string, string[]>()
  for (const { namespace, name } of rows) names.set(namespace, [...(names.get(namespace) ?? []), name])
  return names
}

/** A key to store. */
export interface NewKey {
  readonly keyName: string
  readonly key: string
}

/** Refuses names that the original keeps for itself, and such as nobody could read. */
export const checkKeyName = (name: string): void => {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  if (name === '' || name.startsWith('_service_key') || /[\u0000-\u001f\u007f]/.test(name))
    throw new HoldfastError('key_name_illegal')
}

/**
 * Sets a key; its former tokens die. `replace` throws `key_name_not_found` unless a key of this name exists.
 * Resolves with the key's name.
 */
export const setKey = async (
  parts: Parts,
  caller: Caller,
  namespace: string,
  { keyName, key }: NewKey,
  mode: 'add or replace' | 'replace',
): Promise<string> => {
  checkKeyName(keyName)
  const check = async (sql: Sql): Promise<Row<'namespaces'>> => {
    const found = await requireNamespace(sql, caller, namespace)
    if (mode === 'replace' && !(await keyExists(sql, namespace, keyName)))
      throw new HoldfastError('key_name_not_found')
    return found
  }
  const { epoch } = await check(parts.db.read)
  const hashed = await hashKey(parts, key, epoch)
  await parts.db.write(async (trx) => {
    // A hash made for an earlier life of the name is of no use to this one.
    if ((await check(trx)).epoch !== epoch) throw new HoldfastError('namespace_not_found')
    await storeKey(trx, parts, namespace, keyName, hashed)
    await recordKeyEvent(trx, parts, caller, namespace, 'set key', keyName)
  })
  return keyName
}

/** Stores a hashed key with a fresh nonce. One that is replaced keeps its place in the list. */
export const storeKey = async (
  trx: Sql,
  parts: Pick<Parts, 'clock'>,
  namespace: string,
  name: string,
  hashed: string,
): Promise<void> => {
  const nonce = randomUUID()
  await trx
    .insertInto('namespace_keys')
    .values({ namespace, name, hash: hashed, nonce, created_at: parts.clock.now() })
    .onConflict((conflict) => conflict.columns(['namespace', 'name']).doUpdateSet({ hash: hashed, nonce }))
    .execute()
}

/** Deletes a key; its tokens die. */
export const deleteKey = (parts: Parts, caller: Caller, namespace: string, keyName: string): Promise<void> =>
  parts.db.write(async (trx) => {
    await requireNamespace(trx, caller, namespace)
    const { numDeletedRows } = await trx
      .deleteFrom('namespace_keys')
      .where('namespace', '=', namespace)
      .where('name', '=', keyName)
      .executeTakeFirstOrThrow()
    if (numDeletedRows === 0n) throw new HoldfastError('key_name_not_found')
    await recordKeyEvent(trx, parts, caller, namespace, 'delete key', keyName)
  })

const keyExists = async (sql: Sql, namespace: string, name: string): Promise<boolean> =>
  (await sql
    .selectFrom('namespace_keys')
    .select('name')
    .where('namespace', '=', namespace)
    .where('name', '=', name)
    .executeTakeFirst()) !== undefined

const recordKeyEvent = (
  trx: Sql,
  parts: Parts,
  caller: Caller,
  namespace: string,
  message: string,
  keyName: string,
): Promise<void> =>
  recordEvent(trx, parts, {
    objectType: 'namespace',
    objectUuid: namespace,
    namespace: caller.namespace,
    type: 'mutate',
    message,
    caller,
    extra: { key_name: keyName },
  })
