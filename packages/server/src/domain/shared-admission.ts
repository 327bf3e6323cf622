/**
 * Admission among several nodes: the same rules as `admission.ts` has for one, standing on the database alone.
 *
 * **Uploads.** All requests for an upload come to the node that has it, so that one knows how large it will be when everything
 * admitted has arrived. Of a namespace with a limit it says so in the upload's row (`counted_bytes`) before the bytes are read,
 * in a transaction that adds up what the namespace has; of two such transactions that together go beyond the limit one sees the
 * other. Afterwards it says what became of it. Without a limit only that, a moment later and for many uploads at once.
 *
 * **Blobs**, and other bytes that a transaction is about to make one's own, are rows of `holds` until then.
 *
 * A request of a limited namespace so costs a transaction more; others cost nothing. What a node had admitted that is
 * gone counts until its uploads expire.
 */
import { randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { isHoldfastError } from '@holdfast/api/errors'
import type { Sql } from '../db/database.ts'
import type { Parts } from '../parts.ts'
import { type Admission, expectedSize, type Hold, type Wish } from './admission.ts'
import { countBlobBytes, limitsOf, quotaExceeded } from './usage.ts'

type AdmissionParts = Pick<Parts, 'config' | 'db' | 'uploadFiles' | 'nodes' | 'log'>

/** What was admitted for an upload of this node. */
interface Held {
  readonly upload: NonNullable<Wish['upload']>
  bytes: number
}

/** A body without a length is admitted in steps of this size, as long as there is room. */
const stepBytes = 8 * 1024 * 1024
/** Sizes are noted no more often. */
const notePauseMs = 200

export class SharedAdmission implements Admission {
  readonly #held = new Set<Held>()
  /** Uploads whose size is to be noted. */
  readonly #changed = new Set<string>()
  #noting: Promise<void> | undefined

  async hold(parts: AdmissionParts, { namespace, bytes, upload, blobUuid }: Wish): Promise<Hold> {
    if (upload) return this.#holdUpload(parts, namespace, upload, bytes)
    const isLimited = (await limitsOf(parts.db.read, parts.config, namespace)).bytes > 0
    if (!isLimited || bytes === 0) return { grow: async () => {}, release() {} }
    const id = randomUUID()
    await parts.db.write(async (trx) => {
      const row = { id, run: parts.nodes.run, namespace, blob_uuid: blobUuid ?? null, bytes }
      const before = await sumOf(trx, namespace)
      await trx.insertInto('holds').values(row).execute()
      await requireWithin(trx, parts, namespace, { before, after: await sumOf(trx, namespace) })
    })
    return {
      grow: async () => {},
      release: () => {
        parts.db
          .write((trx) => trx.deleteFrom('holds').where('id', '=', id).execute())
          .catch((error) => parts.log.warn({ err: error }, 'what was admitted still counts for a while'))
      },
    }
  }

  async check(parts: AdmissionParts, namespace: string, bytes: number): Promise<void> {
    const limit = (await limitsOf(parts.db.read, parts.config, namespace)).bytes
    if (limit === 0 || bytes === 0) return
    const used = await sumOf(parts.db.read, namespace)
    if (used + bytes > limit) throw quotaExceeded('bytes', { limit, used, asked: bytes })
  }

  async count(
    { db, uploadFiles }: Pick<Parts, 'db' | 'uploadFiles'>,
    namespace: string,
  ): Promise<{ blobBytes: number; uploadBytes: number }> {
    const rows = await db.read
      .selectFrom('uploads')
      .select(['uuid', 'counted_bytes'])
      .where('namespace', '=', namespace)
      .execute()
    let uploadBytes = 0
    for (const { uuid, counted_bytes } of rows) {
      const status = await uploadFiles.status(uuid)
      uploadBytes += status ? this.#expected(uuid, status.size) : counted_bytes
    }
    return { blobBytes: await sumOfBlobs(db.read, namespace, db.readAside), uploadBytes }
  }

  async #holdUpload(
    parts: AdmissionParts,
    namespace: string,
    upload: NonNullable<Wish['upload']>,
    bytes: number,
  ): Promise<Hold> {
    const held: Held = { upload, bytes: 0 }
    this.#held.add(held)
    const admit = (wanted: number): Promise<void> => this.#admit(parts, namespace, held, wanted)
    try {
      if (bytes > 0) await admit(bytes)
    } catch (error) {
      this.#held.delete(held)
      throw error
    }
    let arrived = bytes
    return {
      grow: async (more) => {
        arrived += more
        if (arrived <= held.bytes) return
        await admit(arrived + stepBytes).catch((error) => {
          if (!isHoldfastError(error, 'quota_exceeded')) throw error
          return admit(arrived)
        })
      },
      release: () => {
        if (this.#held.delete(held)) this.#note(parts, upload.uuid)
      },
    }
  }

  #expected(uuid: string, size: number): number {
    return expectedSize(
      size,
      [...this.#held].filter(({ upload }) => upload.uuid === uuid),
    )
  }

  /** Makes the held bytes `wanted`, or throws and leaves them. */
  async #admit(parts: AdmissionParts, namespace: string, held: Held, wanted: number): Promise<void> {
    const { uuid, size } = held.upload
    const admitted = held.bytes
    if ((await limitsOf(parts.db.read, parts.config, namespace)).bytes > 0) {
      try {
        await parts.db.write(async (trx) => {
          held.bytes = admitted
          const growth = this.#expectedWith(held, wanted) - this.#expected(uuid, size)
          const counted_bytes = this.#expectedWith(held, wanted)
          await trx.updateTable('uploads').set({ counted_bytes }).where('uuid', '=', uuid).execute()
          // Not by what was in the row: another request for this upload may just have noted something else there.
          const after = await sumOf(trx, namespace)
          await requireWithin(trx, parts, namespace, { before: after - growth, after })
          // Before the commit, so that nobody who sees it in the database notes less.
          held.bytes = wanted
        })
      } catch (error) {
        held.bytes = admitted
        this.#note(parts, uuid)
        throw error
      }
    }
    held.bytes = wanted
  }

  /** How large the upload will be if so much is admitted for one of its requests. */
  #expectedWith(held: Held, bytes: number): number {
    const { uuid, size } = held.upload
    return expectedSize(
      size,
      [...this.#held]
        .filter(({ upload }) => upload.uuid === uuid)
        .map((other) => (other === held ? { upload: held.upload, bytes } : other)),
    )
  }

  /** What became of an upload shows in its row soon. */
  #note(parts: AdmissionParts, uuid: string): void {
    this.#changed.add(uuid)
    this.#noting ??= this.#noteAll(parts).finally(() => {
      this.#noting = undefined
    })
  }

  async #noteAll(parts: AdmissionParts): Promise<void> {
    while (this.#changed.size > 0) {
      const uuids = [...this.#changed]
      this.#changed.clear()
      try {
        await parts.db.write(async (trx) => {
          for (const uuid of uuids) {
            // Read first: what is admitted after this look makes the transaction begin again.
            const row = await trx
              .selectFrom('uploads')
              .select('counted_bytes')
              .where('uuid', '=', uuid)
              .executeTakeFirst()
            // Then what is held, then what is stored: what arrives in between counts twice for a moment, never not at all.
            const held = [...this.#held].filter(({ upload }) => upload.uuid === uuid)
            const status = await parts.uploadFiles.status(uuid)
            if (!row || !status) continue
            const counted_bytes = expectedSize(status.size, held)
            if (row.counted_bytes !== counted_bytes)
              await trx.updateTable('uploads').set({ counted_bytes }).where('uuid', '=', uuid).execute()
          }
        })
      } catch (error) {
        parts.log.warn({ err: error }, 'the sizes of uploads were not noted')
      }
      await delay(notePauseMs, undefined, { ref: false })
    }
  }
}

/** Throws `quota_exceeded` when the namespace has more than it may and more than before. */
const requireWithin = async (
  trx: Sql,
  { config }: Pick<Parts, 'config'>,
  namespace: string,
  { before, after }: { readonly before: number; readonly after: number },
): Promise<void> => {
  const limit = (await limitsOf(trx, config, namespace)).bytes
  if (limit > 0 && after > limit && after > before)
    throw quotaExceeded('bytes', { limit, used: before, asked: after - before })
}

/** All that counts for a namespace. */
const sumOf = async (sql: Sql, namespace: string): Promise<number> => {
  const { bytes } = await sql
    .selectFrom('uploads')
    .select(({ fn }) => fn.sum<number | null>('counted_bytes').as('bytes'))
    .where('namespace', '=', namespace)
    .executeTakeFirstOrThrow()
  return Number(bytes ?? 0) + (await sumOfBlobs(sql, namespace))
}

/** Blobs that the namespace holds or is about to, each once, and what else is about to be its own. */
const sumOfBlobs = async (
  sql: Sql,
  namespace: string,
  readAside?: Parts['db']['readAside'],
): Promise<number> => {
  const holds = await sql
    .selectFrom('holds')
    .innerJoin('nodes', 'nodes.run', 'holds.run')
    .select(['holds.blob_uuid', 'holds.bytes'])
    .where('holds.namespace', '=', namespace)
    .execute()
  const uuids = holds.flatMap(({ blob_uuid }) => (blob_uuid === null ? [] : [blob_uuid]))
  const others = holds.reduce((sum, { blob_uuid, bytes }) => sum + (blob_uuid === null ? bytes : 0), 0)
  const aside: Parts['db']['readAside'] = async (query) => (await sql.executeQuery(query)).rows
  return others + (await countBlobBytes({ read: sql, readAside: readAside ?? aside }, namespace, uuids))
}
