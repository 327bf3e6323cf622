/**
 * One fetch from its place in the queue to its end: download into an upload, conversion, and the telling of it all.
 *
 * The states of its row: `waiting` -> `running` -> `done` or `failed`, or back to `waiting` when the server stops. A
 * row that is gone means that the artifact was deleted: the fetch then ends without a trace.
 */
import { HoldfastError, isHoldfastError } from '@holdfast/api/errors'
import type { Transaction } from 'kysely'
import type { Schema } from '../db/schema.ts'
import { makeAddressGuard } from '../fetch/address-guard.ts'
import { FetchError } from '../fetch/fetch-error.ts'
import type { FetchResult, FetchSink } from '../fetch/fetch-url.ts'
import type { Parts } from '../parts.ts'
import { convertUpload } from './convert-upload.ts'
import { FetchProgressLog } from './fetch-progress.ts'
import { changeFetch, type Run, tell } from './fetch-row.ts'
import { createUpload, removeUploadFiles, removeUploadRow } from './uploads.ts'
import type { AddedVersion } from './versions.ts'

const maxRedirects = 10
/** How long a remote may be silent, in milliseconds. */
const stallTimeoutMs = 60_000

/** Runs the fetch of this artifact. Rejects only for failures of the server itself, which leave it waiting. */
export const runFetch = async (parts: Parts, artifactUuid: string, stop: AbortSignal): Promise<void> => {
  const claimed = await claim(parts, artifactUuid)
  if (!claimed) return
  const { artifact, fetch } = claimed
  const caller = { namespace: fetch.caller_namespace, keyName: '', requestId: fetch.request_id }
  const gone = new AbortController()
  const signal = AbortSignal.any([stop, gone.signal])
  const run: Run = { parts, caller, artifact, fetch, signal, beganAt: performance.now() }
  let uploadUuid: string | undefined
  try {
    uploadUuid = await openUpload(run)
    const progress = new FetchProgressLog(run, () => gone.abort())
    const result = await download(run, uploadUuid, progress).finally(() => progress.settled())
    await finish(run, uploadUuid, result)
  } catch (error) {
    if (stop.aborted) {
      await parts.db.write((trx) => changeFetch(trx, run, { state: 'waiting' }))
      return
    }
    if (!gone.signal.aborted) await fail(run, error)
  }
  if (uploadUuid !== undefined) await dropUpload(parts, uploadUuid)
}

/** Takes the fetch from the queue, unless somebody else did or its artifact is gone. */
const claim = (parts: Parts, artifactUuid: string) =>
  parts.db.write(async (trx) => {
    const fetch = await trx
      .updateTable('fetches')
      .set((eb) => ({
        state: 'running',
        run: parts.nodes.run,
        attempts: eb('attempts', '+', 1),
        updated_at: parts.clock.now(),
      }))
      .where('artifact_uuid', '=', artifactUuid)
      .where('state', '=', 'waiting')
      .returningAll()
      .executeTakeFirst()
    const artifact =
      fetch &&
      (await trx.selectFrom('artifacts').selectAll().where('uuid', '=', artifactUuid).executeTakeFirst())
    if (!fetch || !artifact) return undefined
    // Its bytes are wanted again, whether or not the remote has changed.
    const isDamaged = await isNewestDamaged(trx, artifactUuid)
    return { artifact, fetch: isDamaged ? { ...fetch, etag: null, last_modified: null } : fetch }
  })

const isNewestDamaged = async (trx: Transaction<Schema>, artifactUuid: string): Promise<boolean> => {
  const newest = await trx
    .selectFrom('versions')
    .innerJoin('blobs', 'blobs.uuid', 'versions.blob_uuid')
    .select('blobs.state')
    .where('versions.artifact_uuid', '=', artifactUuid)
    .where('versions.live', '=', 1)
    .orderBy('versions.idx', 'desc')
    .limit(1)
    .executeTakeFirst()
  return newest?.state === 'quarantined'
}

/** The upload with what an earlier run fetched, or a new one. */
const openUpload = async (run: Run): Promise<string> => {
  const { parts, caller, fetch } = run
  if (fetch.upload_uuid !== null && (await parts.uploadFiles.status(fetch.upload_uuid)))
    return fetch.upload_uuid
  const { uuid } = await createUpload(parts, caller)
  await parts.db.write(async (trx) => {
    // The bytes that another node has fetched are gone with it.
    if (fetch.upload_uuid !== null) await removeUploadRow(trx, fetch.upload_uuid)
    await changeFetch(trx, run, { upload_uuid: uuid, if_range: null })
  })
  return uuid
}

const download = async (
  { parts, caller, fetch, signal }: Run,
  uploadUuid: string,
  progress: FetchProgressLog,
): Promise<FetchResult> => {
  const { config } = parts
  const maxBytes = Math.min(config.fetchMaxSize, config.maxFileSize)
  const sink = await openSink(parts, caller.namespace, uploadUuid, maxBytes, signal)
  // The HTTP client with the guard in its connections takes 6 MiB, which a server that fetches nothing can do without.
  const { fetchUrl } = await import('../fetch/fetch-url.ts')
  return fetchUrl({
    url: fetch.url,
    guard: makeAddressGuard({ allow: config.fetchAllow }),
    sink,
    ifEtag: fetch.etag,
    ifLastModified: fetch.last_modified,
    ifRange: fetch.upload_uuid === uploadUuid ? fetch.if_range : null,
    maxBytes,
    maxRedirects,
    attempts: Math.max(1, config.fetchAttempts),
    firstPauseMs: config.fetchPause * 1000,
    stallTimeoutMs,
    signal,
    onProgress: (now) => progress.note(now),
    onRetry: (retry) => progress.noteRetry(retry),
  })
}

/** The upload as the place where the bytes go. */
const openSink = async (
  parts: Parts,
  namespace: string,
  uuid: string,
  maxSize: number,
  signal: AbortSignal,
): Promise<FetchSink> => {
  const { uploadFiles } = parts
  const sizeNow = async () => (await uploadFiles.status(uuid))?.size ?? 0
  let size = await sizeNow()
  return {
    size: () => size,
    async append(chunks) {
      const upload = { uuid, size, offset: size }
      const hold = await parts.admission.hold(parts, { namespace, bytes: 0, upload })
      let refusal: unknown
      async function* admitted(): AsyncGenerator<Uint8Array> {
        for await (const chunk of chunks) {
          await hold.grow(chunk.length).catch((error) => {
            refusal = error
            throw error
          })
          yield chunk
        }
      }
      try {
        const options = { mode: 'conditional', expectedOffset: size, maxSize, signal } as const
        ;({ size } = await uploadFiles.append(uuid, admitted(), options))
        return size
      } catch (error) {
        size = await sizeNow()
        throw refusal ?? error
      } finally {
        hold.release()
      }
    },
    async reset() {
      await uploadFiles.truncate(uuid, 0)
      size = 0
    },
  }
}

const finish = async (run: Run, uploadUuid: string, result: FetchResult): Promise<void> => {
  const { parts, caller, artifact } = run
  if (result.status === 'unchanged') {
    await parts.db.write(async (trx) => {
      if (!(await changeFetch(trx, run, { state: 'done', upload_uuid: null }))) return
      await tell(trx, run, 'fetch found no change')
    })
    parts.metrics.fetches.inc({ outcome: 'unchanged' })
    return
  }
  if (result.size === 0)
    throw new FetchError('bad_response', 'the remote file is empty', { retryable: false })
  await convertUpload(parts, caller, {
    uploadUuid,
    identity: {
      namespace: artifact.namespace,
      type: artifact.type,
      sourceUrl: artifact.source_url,
      name: artifact.name,
    },
    within: async (trx, { index, added }: AddedVersion) => {
      const { etag, lastModified: last_modified } = result
      const change = { state: 'done', etag, last_modified, upload_uuid: null, if_range: null } as const
      // Without its row the artifact has been deleted, and what was made here would be another one.
      if (!(await changeFetch(trx, run, change))) throw new HoldfastError('artifact_not_found')
      const message = added ? 'fetch finished' : 'fetch finished: the newest version has this content already'
      await tell(trx, run, message, { size: result.size, index })
    },
  })
  parts.metrics.fetches.inc({ outcome: 'fetched' })
}

const fail = async (run: Run, error: unknown): Promise<void> => {
  const { parts, artifact } = run
  const isKnown = error instanceof FetchError || isHoldfastError(error)
  if (!isKnown) parts.log.error({ err: error, artifact: artifact.uuid }, 'a fetch failed')
  const reason = isKnown ? error.message : 'internal error'
  await parts.db.write(async (trx) => {
    const change = { state: 'failed', error: reason, upload_uuid: null, if_range: null } as const
    if (!(await changeFetch(trx, run, change))) return
    await trx
      .updateTable('artifacts')
      .set({ state: 'error', error: reason })
      .where('uuid', '=', artifact.uuid)
      .where('state', '=', 'initial')
      .execute()
    await tell(trx, run, `fetch failed: ${reason}`)
  })
  parts.metrics.fetches.inc({ outcome: 'failed' })
}

/** Nothing is left of an upload that was not converted. */
const dropUpload = async (parts: Parts, uuid: string): Promise<void> => {
  await parts.db.write((trx) => removeUploadRow(trx, uuid))
  await removeUploadFiles(parts, uuid)
}
