/**
 * Trusts: a namespace lets another act on everything it has. `system` is trusted by all, always.
 */
import type { NamespaceView } from '@holdfast/api/schemas'
import type { Sql } from '../db/database.ts'
import type { Caller, Parts } from '../parts.ts'
import { recordEvent } from './events.ts'
import { checkNamespaceName } from './namespace-name.ts'
import { namespaceViews } from './namespace-view.ts'
import { reachOf, requireNamespace, systemNamespace } from './visibility.ts'

/** Whether a trust has to be stored: everybody trusts itself and `system` anyway. */
const isImplied = (namespace: string, external: string): boolean =>
  external === namespace || external === systemNamespace

/**
 * Trusts another namespace, which need not exist: whether it does is none of the caller's business. A trust that
 * is implied or exists changes nothing.
 */
export const addTrust = (
  parts: Parts,
  caller: Caller,
  namespace: string,
  external: string,
): Promise<NamespaceView> =>
  changeTrust(parts, caller, namespace, external, 'add trust', async (trx) => {
    checkNamespaceName(external)
    const { numInsertedOrUpdatedRows } = await trx
      .insertInto('trusts')
      .values({ namespace, trusted: external })
      .onConflict((conflict) => conflict.doNothing())
      .executeTakeFirstOrThrow()
    return numInsertedOrUpdatedRows ?? 0n
  })

/** Takes a trust back. One that is implied stays, silently; a missing one is fine. */
export const removeTrust = (
  parts: Parts,
  caller: Caller,
  namespace: string,
  external: string,
): Promise<NamespaceView> =>
  changeTrust(parts, caller, namespace, external, 'remove trust', async (trx) => {
    const { numDeletedRows } = await trx
      .deleteFrom('trusts')
      .where('namespace', '=', namespace)
      .where('trusted', '=', external)
      .executeTakeFirstOrThrow()
    return numDeletedRows
  })

const changeTrust = (
  parts: Parts,
  caller: Caller,
  namespace: string,
  external: string,
  message: string,
  change: (trx: Sql) => Promise<bigint>,
): Promise<NamespaceView> =>
  parts.db.write(async (trx) => {
    const row = await requireNamespace(trx, caller, namespace)
    const changed = isImplied(namespace, external) ? 0n : await change(trx)
    if (changed > 0n)
      await recordEvent(trx, parts, {
        objectType: 'namespace',
        objectUuid: namespace,
        namespace: caller.namespace,
        type: 'mutate',
        message,
        caller,
        extra: { external_namespace: external },
      })
    return (await namespaceViews(trx, await reachOf(trx, caller), [row]))[0]!
  })
