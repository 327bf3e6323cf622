/**
 * Quarantine: what happens to a blob whose bytes are damaged or missing, and how it gets out again.
 *
 * The state in SQL is what counts: a quarantined blob is never opened for a reader, never found by its digest and
 * never converted, wherever its bytes lie. Those are set aside under `quarantine/<uuid>` in the data directory, for
 * people to look at, until the blob is healed or collected; a crash before that leaves them in the blob's place, where
 * they do no harm. Only what `exclusively` guards touches the file of a quarantined blob, and it looks at the state
 * again first: bytes that heal a blob are never taken for the damaged ones.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { HoldfastError } from '@holdfast/api/errors'
import { blockSize } from '@holdfast/api/limits'
import { sql, type Transaction } from 'kysely'
import type { BlobStore } from '../blobs/blob-store.ts'
import type { FileDigest } from '../blobs/hash-pipeline.ts'
import type { BlobState, Row, Schema } from '../db/schema.ts'
import type { Parts } from '../parts.ts'
import { recordEvent, recordEvents } from './events.ts'
import { fencedBy, takeTurn } from './nodes/turns.ts'

/** What waits for each blob of each store. */
const queues = new WeakMap<BlobStore, Map<string, Promise<unknown>>>()

type ExclusiveParts = Pick<Parts, 'blobs' | 'db' | 'clock' | 'nodes' | 'log'>

/**
 * Runs `work` when nobody else works on the file of this blob: one at a time, in the order of the calls, and among several
 * nodes one of them. `work` is to use the parts that it is given: what it commits is refused should another node have taken
 * over. Moving bytes cannot be refused so; what a node could still move that was frozen between a look and the move is in
 * quarantine then, whole, and verification puts it back.
 */
export const exclusively = <T, P extends ExclusiveParts>(
  parts: P,
  uuid: string,
  work: (parts: P) => Promise<T>,
): Promise<T> =>
  inOrder(parts, uuid, () => (parts.nodes.isShared ? amongNodes(parts, uuid, work) : work(parts)))

const turnMs = 60_000
const turnPauseMs = 100
/** A node that is gone keeps its turn for `turnMs`. */
const longestWaitMs = 90_000

const amongNodes = async <T, P extends ExclusiveParts>(
  parts: P,
  uuid: string,
  work: (parts: P) => Promise<T>,
): Promise<T> => {
  const deadline = performance.now() + longestWaitMs
  for (;;) {
    const turn = await takeTurn(parts, `blob ${uuid}`, turnMs)
    if (turn)
      try {
        return await work(fencedBy(parts, turn))
      } finally {
        await turn.release()
      }
    if (performance.now() > deadline) throw new HoldfastError('unavailable')
    await delay(turnPauseMs)
  }
}

const inOrder = <T>({ blobs }: Pick<Parts, 'blobs'>, uuid: string, work: () => Promise<T>): Promise<T> => {
  const waiting = queues.get(blobs) ?? new Map<string, Promise<unknown>>()
  queues.set(blobs, waiting)
  const turn = (waiting.get(uuid) ?? Promise.resolve()).then(work, work)
  waiting.set(uuid, turn)
  const leave = () => {
    if (waiting.get(uuid) === turn) waiting.delete(uuid)
  }
  turn.then(leave, leave)
  return turn
}

/** The state of a blob now; `deleted` when its row is gone. */
export const stateOf = async (parts: Pick<Parts, 'db'>, uuid: string): Promise<BlobState> =>
  (await parts.db.read.selectFrom('blobs').select('state').where('uuid', '=', uuid).executeTakeFirst())
    ?.state ?? 'deleted'

/** The message of the event that tells of a quarantine; its `extra.reason` says why. */
export const quarantineMessage = 'quarantined: its stored bytes are damaged or missing'

/**
 * Marks a blob whose bytes are damaged or missing: it is not served any more until it is healed. Of a blob that is
 * deleted or quarantined already, nothing changes. Tells whether this call marked it.
 *
 * `seen` is the row that the finder of the damage had read before it opened the file. If the blob was healed
 * meanwhile, what was found was the old file, and the blob stays as it is.
 */
export const quarantineBlob = async (
  parts: Parts,
  uuid: string,
  reason: string,
  seen?: Pick<Row<'blobs'>, 'healed_at'>,
): Promise<boolean> => {
  const isMarked = await parts.db.write(async (trx) => {
    const { numUpdatedRows } = await trx
      .updateTable('blobs')
      .set({ state: 'quarantined', verified_at: parts.clock.now() })
      .where('uuid', '=', uuid)
      .where('state', '=', 'created')
      .$if(seen !== undefined, (query) =>
        query.where('healed_at', seen!.healed_at === null ? 'is' : '=', seen!.healed_at),
      )
      .executeTakeFirstOrThrow()
    if (numUpdatedRows === 0n) return false
    await recordEvent(trx, parts, {
      objectType: 'blob',
      objectUuid: uuid,
      namespace: '',
      type: 'status',
      message: quarantineMessage,
      extra: { reason },
    })
    await tellHolders(trx, parts, uuid, 'is damaged: its stored bytes are damaged or missing')
    return true
  })
  if (!isMarked) return false
  parts.log.error({ blob: uuid, reason }, 'blob quarantined')
  await exclusively(parts, uuid, (own) => setAside(own, uuid))
  await countDamagedBlobs(parts)
  return true
}

/** Moves the bytes of a quarantined blob out of its place. Inside `exclusively` only. */
export const setAside = async (parts: Parts, uuid: string): Promise<void> => {
  if ((await stateOf(parts, uuid)) !== 'quarantined') return
  await parts.blobs.quarantine(uuid).catch((error) => {
    parts.log.warn({ err: error, blob: uuid }, 'the bytes of a quarantined blob were not set aside')
  })
}

/** What is known of the right bytes that lie in a blob's place. */
export type RightBytes = Pick<FileDigest, 'blockSums'> & Partial<FileDigest>

/**
 * The right bytes lie, verified, in the place of a quarantined blob: it can be served again. Inside `exclusively`
 * only. `how` tells where they came from.
 */
export const markHealed = async (
  parts: Parts,
  uuid: string,
  bytes: RightBytes,
  how: string,
): Promise<void> => {
  // Before the commit: after it nobody would look for them.
  await parts.blobs.dropQuarantined(uuid)
  await parts.db.write(async (trx) => {
    await healBlob(trx, parts, uuid, bytes, how)
  })
  // Its last reference may have gone meanwhile, and collection with it been faster.
  if ((await stateOf(parts, uuid)) === 'deleted') await parts.blobs.remove(uuid)
  await countDamagedBlobs(parts)
}

const healBlob = async (
  trx: Transaction<Schema>,
  parts: Parts,
  uuid: string,
  { blockSums, sha256, sha1, xxh128 }: RightBytes,
  how: string,
): Promise<void> => {
  const blob = await trx
    .selectFrom('blobs')
    .select('healed_at')
    .where('uuid', '=', uuid)
    .where('state', '=', 'quarantined')
    .executeTakeFirst()
  if (!blob) return
  const now = parts.clock.now()
  await trx
    .updateTable('blobs')
    .set({
      state: 'created',
      verified_at: now,
      // Later than before, whatever the clock says: see `quarantineBlob`.
      healed_at: Math.max(now, (blob.healed_at ?? 0) + 1),
      ...(sha256 !== undefined && { sha256, sha1: sha1!, xxh128: xxh128! }),
    })
    .where('uuid', '=', uuid)
    .execute()
  await storeBlockSums(trx, uuid, blockSums)
  await recordEvent(trx, parts, {
    objectType: 'blob',
    objectUuid: uuid,
    namespace: '',
    type: 'status',
    message: `healed: ${how}`,
  })
  await tellHolders(trx, parts, uuid, 'is whole again')
}

/** Artifacts told of at most: the damage of one blob is not worth a long transaction. */
const maxTold = 1000

/** Writes into the history of the artifacts that hold a blob: its own is for the administrator. */
const tellHolders = async (
  trx: Transaction<Schema>,
  parts: Parts,
  uuid: string,
  what: string,
): Promise<void> => {
  const versions = await trx
    .selectFrom('versions')
    .select(['artifact_uuid', 'idx'])
    .where('blob_uuid', '=', uuid)
    .where('live', '=', 1)
    .limit(maxTold)
    .execute()
  await recordEvents(
    trx,
    parts,
    versions.map(({ artifact_uuid, idx }) => ({
      objectType: 'artifact',
      objectUuid: artifact_uuid,
      namespace: '',
      type: 'status',
      message: `version ${idx} ${what}`,
      extra: { index: idx, blob_uuid: uuid },
    })),
  )
}

/** Replaces the list of a blob's block checksums. */
export const storeBlockSums = async (
  trx: Transaction<Schema>,
  uuid: string,
  blockSums: Uint8Array,
): Promise<void> => {
  const list = { block_size: blockSize, sums: blockSums }
  await trx
    .insertInto('blob_blocks')
    .values({ blob_uuid: uuid, ...list })
    .onConflict((conflict) => conflict.column('blob_uuid').doUpdateSet(list))
    .execute()
}

/** As a literal, so that the index of such blobs is used; see `deleted` in database.ts. */
export const quarantined = sql.lit('quarantined' as const)

/** How many blobs are in quarantine. */
export const countQuarantined = async (parts: Pick<Parts, 'db'>): Promise<number> => {
  const { count } = await parts.db.read
    .selectFrom('blobs')
    .select(({ fn }) => fn.countAll<number>().as('count'))
    .where('state', '=', quarantined)
    .executeTakeFirstOrThrow()
  return Number(count)
}

/** Brings the metric up to date. */
export const countDamagedBlobs = async (parts: Pick<Parts, 'db' | 'metrics'>): Promise<void> => {
  parts.metrics.damagedBlobs.set(await countQuarantined(parts))
}
