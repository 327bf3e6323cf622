/**
 * Namespaces: the tenants.
 *
 * The name of a deleted namespace may be given to somebody else, who must get nothing of the old one. What only the
 * namespace itself gives meaning to goes in the transaction that deletes it (keys, trusts both ways, metadata, leases,
 * live artifacts), its uploads right after, and again before the name is reused in case that was cut short. What stays
 * as history (deleted artifacts, events) is older than `created_at` of the new life, by which `visibility.ts` tells.
 */
import { randomUUID } from 'node:crypto'
import { HoldfastError } from '@holdfast/api/errors'
import type { NamespaceView } from '@holdfast/api/schemas'
import type { Transaction } from 'kysely'
import { deleted, type Sql } from '../db/database.ts'
import type { Row, Schema } from '../db/schema.ts'
import type { Caller, Parts } from '../parts.ts'
import { deleteAllArtifacts } from './artifacts.ts'
import { recordEvent } from './events.ts'
import { checkKeyName, hashKey, type NewKey, storeKey } from './keys.ts'
import { endLeasesOf } from './leases.ts'
import { checkNamespaceName } from './namespace-name.ts'
import { namespaceViews } from './namespace-view.ts'
import { formerSystemKey, loadSystemKey, sharedSecret, systemKeyName } from './secrets.ts'
import { removeUploadsOf } from './uploads.ts'
import {
  findNamespace,
  reachOf,
  requireNamespace,
  requireSystem,
  systemNamespace,
  withinReach,
} from './visibility.ts'

/** The name of the key that the server itself makes for `system`. */
export const bootstrapKeyName = 'bootstrap'

/** The caller's own namespace and those that trust it, by name; for `system` all. */
export const listNamespaces = async (parts: Parts, caller: Caller): Promise<NamespaceView[]> => {
  const sql = parts.db.read
  const reach = await reachOf(sql, caller)
  const rows = await sql
    .selectFrom('namespaces')
    .selectAll()
    .where('state', '<>', deleted)
    .where((eb) => withinReach(reach)(eb.ref('namespaces.name')))
    .orderBy('name')
    .execute()
  return namespaceViews(sql, reach, rows)
}

export const showNamespace = async (parts: Parts, caller: Caller, name: string): Promise<NamespaceView> => {
  const row = await requireNamespace(parts.db.read, caller, name)
  return (await namespaceViews(parts.db.read, await reachOf(parts.db.read, caller), [row]))[0]!
}

/** Creates a namespace, with its first key if one is given. For `system` only. */
export const createNamespace = async (
  parts: Parts,
  caller: Caller,
  name: string,
  firstKey?: NewKey,
): Promise<NamespaceView> => {
  requireSystem(caller)
  checkNamespaceName(name)
  if (firstKey) checkKeyName(firstKey.keyName)
  if (await findNamespace(parts.db.read, name)) throw new HoldfastError('namespace_exists')
  await removeUploadsOf(parts, name)
  const epoch = randomUUID()
  const hashed = firstKey && (await hashKey(parts, firstKey.key, epoch))
  return parts.db.write(async (trx) => {
    const row = await insertNamespace(trx, parts, name, epoch)
    if (!row) throw new HoldfastError('namespace_exists')
    if (firstKey && hashed) await storeKey(trx, parts, name, firstKey.keyName, hashed)
    await recordEvent(trx, parts, {
      objectType: 'namespace',
      objectUuid: name,
      namespace: caller.namespace,
      type: 'audit',
      message: 'create namespace',
      caller,
      extra: firstKey ? { key_name: firstKey.keyName } : {},
    })
    return (await namespaceViews(trx, 'all', [row]))[0]!
  })
}

/** Begins a life of this name; undefined when it has one. */
const insertNamespace = async (
  trx: Transaction<Schema>,
  parts: Parts,
  name: string,
  epoch: string,
): Promise<Row<'namespaces'> | undefined> => {
  const former = await trx.selectFrom('namespaces').selectAll().where('name', '=', name).executeTakeFirst()
  if (former && former.state !== 'deleted') return undefined
  // Later than everything of the former life, whatever the clock says.
  const created_at = Math.max(parts.clock.now(), (former?.deleted_at ?? 0) + 1)
  const limits = { max_bytes: null, max_artifacts: null, max_uploads: null }
  const life = { state: 'created', epoch, created_at, deleted_at: null, ...limits } as const
  return trx
    .insertInto('namespaces')
    .values({ name, ...life })
    .onConflict((conflict) => conflict.column('name').doUpdateSet(life))
    .returningAll()
    .executeTakeFirstOrThrow()
}

/** Deletes a namespace with all it has. For `system` only; `system` itself stays. */
export const deleteNamespace = async (parts: Parts, caller: Caller, name: string): Promise<void> => {
  requireSystem(caller)
  if (name === systemNamespace) throw new HoldfastError('namespace_protected')
  await parts.db.write(async (trx) => {
    await requireNamespace(trx, caller, name)
    await deleteAllArtifacts(trx, parts, caller, name)
    await removeBelongings(trx, name)
    await trx
      .updateTable('namespaces')
      .set({ state: 'deleted', deleted_at: parts.clock.now() })
      .where('name', '=', name)
      .execute()
    await recordEvent(trx, parts, {
      objectType: 'namespace',
      objectUuid: name,
      namespace: caller.namespace,
      type: 'audit',
      message: 'delete namespace',
      caller,
    })
  })
  await removeUploadsOf(parts, name)
}

const removeBelongings = async (trx: Transaction<Schema>, name: string): Promise<void> => {
  await trx.deleteFrom('namespace_keys').where('namespace', '=', name).execute()
  await trx
    .deleteFrom('trusts')
    .where((eb) => eb.or([eb('namespace', '=', name), eb('trusted', '=', name)]))
    .execute()
  await trx
    .deleteFrom('metadata')
    .where('object_type', '=', 'namespace')
    .where('object_uuid', '=', name)
    .execute()
  await trx.deleteFrom('metadata').where('object_type', '=', 'blob').where('namespace', '=', name).execute()
  await trx.deleteFrom('blob_uses').where('namespace', '=', name).execute()
  await trx.deleteFrom('conversions').where('namespace', '=', name).execute()
  await endLeasesOf(trx, name)
}

const storedSystemKey = async ({ config, db, nodes }: Parts): Promise<string> =>
  nodes.isShared
    ? sharedSecret(db, systemKeyName, await formerSystemKey(config.dataDir))
    : loadSystemKey(config.dataDir)

/**
 * Makes sure, at every start, that the namespace `system` exists and that the key named `bootstrap` is the one of the
 * settings, or else the one in `system.key`. Resolves with that key, for the client configuration file. Tokens made
 * with it live on unless it has changed.
 */
export const ensureSystem = async (parts: Parts): Promise<string> => {
  const key = parts.config.systemKey ?? (await storedSystemKey(parts))
  const findSystem = (sql: Sql) => findNamespace(sql, systemNamespace)
  const { epoch } =
    (await findSystem(parts.db.read)) ??
    (await parts.db.write(
      async (trx) =>
        (await findSystem(trx)) ?? (await insertNamespace(trx, parts, systemNamespace, randomUUID()))!,
    ))
  const hashed = await hashKey(parts, key, epoch)
  const isStored = async (sql: Sql) => {
    const stored = await sql
      .selectFrom('namespace_keys')
      .select('hash')
      .where('namespace', '=', systemNamespace)
      .where('name', '=', bootstrapKeyName)
      .executeTakeFirst()
    return stored?.hash === hashed
  }
  if (!(await isStored(parts.db.read)))
    await parts.db.write(async (trx) => {
      // Another node may have stored it meanwhile; a second time would end the tokens made with it.
      if (!(await isStored(trx))) await storeKey(trx, parts, systemNamespace, bootstrapKeyName, hashed)
    })
  return key
}
