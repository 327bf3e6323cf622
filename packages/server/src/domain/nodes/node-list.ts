/** The nodes for the administrator. */
import type { NodeView } from '@holdfast/api/admin-schemas'
import { HoldfastError } from '@holdfast/api/errors'
import type { Caller, Parts } from '../../parts.ts'
import { recordEvent } from '../events.ts'
import { requireSystem, systemNamespace } from '../visibility.ts'

/** All nodes by name. For `system` only. */
export const listNodes = async (parts: Parts, caller: Caller): Promise<NodeView[]> => {
  requireSystem(caller)
  const counts = await parts.db.read
    .selectFrom('uploads')
    .select(({ fn }) => ['node', fn.countAll<number>().as('count')])
    .groupBy('node')
    .execute()
  const uploads = new Map(counts.map(({ node, count }) => [node, Number(count)]))
  return (await parts.nodes.list()).map(({ name, health, url, version, startedAt, seenAt }) => ({
    name,
    state: health,
    url,
    version,
    started_at: startedAt / 1000,
    seen_at: seenAt / 1000,
    uploads: uploads.get(name) ?? 0,
    answers: name === parts.nodes.name,
  }))
}

/**
 * Forgets a node that will not come back, and its uploads: their bytes are there and nowhere else. Should it come back after
 * all, it has to begin with an empty data directory. Throws `node_not_found`, `node_running`. For `system` only.
 */
export const forgetNode = async (parts: Parts, caller: Caller, name: string): Promise<void> => {
  requireSystem(caller)
  const node = await parts.nodes.find(name)
  if (!node) throw new HoldfastError('node_not_found')
  if (node.health === 'up' || !parts.nodes.isShared) throw new HoldfastError('node_running')
  await parts.db.write(async (trx) => {
    const row = await trx.selectFrom('nodes').select('run').where('name', '=', name).executeTakeFirst()
    if (!row) throw new HoldfastError('node_not_found')
    // It was started again since.
    if (row.run !== node.run) throw new HoldfastError('node_running')
    const uploads = await trx.deleteFrom('uploads').where('node', '=', name).returning('uuid').execute()
    await trx.deleteFrom('nodes').where('name', '=', name).execute()
    await recordEvent(trx, parts, {
      objectType: 'namespace',
      objectUuid: systemNamespace,
      namespace: systemNamespace,
      type: 'audit',
      message: `forgot the node ${name}`,
      caller,
      extra: { node: name, uploads: uploads.length },
    })
  })
}
