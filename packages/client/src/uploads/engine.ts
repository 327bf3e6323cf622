/**
 * How bytes become a version, over lines that fail.
 *
 * Two things run side by side: the whole source is hashed (SHA-512), and it is sent, a chunk at a time, to an upload on
 * the server. When the hash is there before everything is sent, the server is asked for the content; on a hit the rest
 * is skipped and the blob that the server has becomes the version. So a hit costs one read of the source, and
 * a miss costs nothing extra. Small sources are looked up first, because an upload costs more than they do. A stream can
 * be read only once, so its hash follows the sending.
 *
 * What is repeated, and why nothing is lost or doubled:
 *
 * - **A chunk** is sent at the offset where the server's data ends. After any failure the server is asked for that offset
 *   (Holdfast), or the upload is cut to the last size the server confirmed (the original), and sending goes on from
 *   there. With conditional appends a request that was believed lost but arrives late is refused by its offset, so no
 *   byte can land twice. There is no limit to the number of failures, only to the time without progress.
 * - **An upload of an earlier run** that is gone was probably converted, and only the news of it was lost. So the content is
 *   looked up before anything is sent.
 * - **The upload** is made anew when the server does not know it any more, or when its content turns out wrong at the
 *   conversion: twice at most, and only if the source can be read again. Also when the node is gone that holds it: while a
 *   node is merely being started again, the server says so in another way, and that is waited for.
 * - **The conversion** names the size and the digest we know, so that a version can only come from the right bytes; it
 *   is repeated after a lost reply, and the server answers with the same version. Servers that cannot check are checked
 *   afterwards, by the size and the digest of the blob they made. When such a server says that the upload is gone, an
 *   earlier, lost attempt may have worked: if it has a blob with our digest, that one is used (adding a blob that is the
 *   newest version already changes nothing).
 * - **A file hashed before** and unchanged since is looked up before it is read (`digest-memory.ts`); a hit then reads nothing.
 *   A miss goes on as if nothing were known, with a fresh digest.
 * - **A blob found by its digest** may be gone at the conversion. Then the upload goes on where it was left.
 *
 * A record of the upload is kept (`state.ts`) from before the first byte until the version exists. An aborted or
 * failed run leaves upload and record alone, and the next run of the same file goes on. The source's size and time are
 * compared after every chunk and before the conversion, so a file that is written to meanwhile ends in a
 * `SourceChangedError`; and the final digest, taken from the file by this run, is what the server is held to.
 */
import type { ArtifactView, BlobView } from '@holdfast/api/schemas'
import { call } from '../calls.ts'
import { HoldfastError, isHoldfastError, SourceChangedError, VerificationError } from '../errors.ts'
import type { Platform } from '../platform.ts'
import { PhaseMeter } from '../progress.ts'
import type { Capabilities, Session } from '../session.ts'
import type { UploadOptions, UploadProgress, UploadResult } from '../types.ts'
import { type AppendServer, appendServerFor } from './append-server.ts'
import { convertBlob, convertUpload } from './convert.ts'
import { UploadMemory } from './memory.ts'
import { sendAll } from './send.ts'
import type { UploadSource } from './source.ts'

/** Below this size the lookup comes first: hashing takes no time, and a hit then makes no upload at all. */
const lookUpFirstBytes = 4 * 1024 * 1024
/** How often a run starts over with a new upload because of what the server says of the bytes. */
const maxRestarts = 2
/** And how often because the node is gone that had them: each time it was waited for first. */
const maxMoves = 20

/** What one run knows; the phases in the other files take what they need of it. */
export interface UploadRun {
  readonly session: Session
  readonly words: Capabilities
  readonly server: AppendServer
  readonly source: UploadSource
  readonly options: UploadOptions<never>
  readonly memory: UploadMemory
  readonly signal: AbortSignal
  /** Body bytes that went out in appends. */
  sent: number
  /** Where this run found the upload. */
  resumed: number
}

/** An upload on the server that this run adds to. */
export interface OpenUpload {
  readonly uuid: string
  readonly node: string
  /** Where the server's data ends, as far as we know. */
  offset: number
}

/** Uploads a source; see above. */
export const runUpload = async <Source, To>(
  session: Session,
  platform: Platform<Source, To>,
  options: UploadOptions<Source>,
): Promise<UploadResult> => {
  const caller = session.signalFor(options.signal)
  caller.throwIfAborted()
  const source = await platform.openSource(options)
  // Everything that runs beside the sending ends with the run
  const over = new AbortController()
  const signal = AbortSignal.any([caller, over.signal])
  try {
    const words = await session.capabilities()
    const memory = new UploadMemory(
      session,
      options.resume === false ? undefined : platform.stateStore,
      source,
      options,
    )
    const server = appendServerFor(session, words)
    const run: UploadRun = {
      session,
      words,
      server,
      source,
      options: options as unknown as UploadOptions<never>,
      memory,
      signal,
      sent: 0,
      resumed: 0,
    }
    return await transfer(run)
  } finally {
    over.abort(new DOMException('the upload is over', 'AbortError'))
    await source.close()
  }
}

const transfer = async (run: UploadRun): Promise<UploadResult> => {
  const { source, options, signal } = run
  const early = await hitWithoutReading(run)
  if (early) return early
  const hashMeter = new PhaseMeter<UploadProgress>(options.onProgress, { phase: 'hash', resumed: 0 })
  const hashing = source
    .hash((done) => hashMeter.at(done, source.size), signal)
    ?.then((sha512) => {
      hashMeter.at(source.size ?? 0, source.size, { finished: true })
      run.memory.hashed(sha512)
      return sha512
    })
  hashing?.catch(() => {}) // seen where it is awaited
  let mayLookUp = options.lookup !== false && source.repeatable && hashing !== undefined

  let restarts = 0
  let moves = 0
  for (;;) {
    try {
      const earlier = await findEarlier(run)
      const comesFirst = earlier === 'gone' || (!earlier && source.size! <= lookUpFirstBytes)
      if (mayLookUp && comesFirst) {
        mayLookUp = false
        const sha512 = await hashing!
        const blob = await lookUp(run, sha512)
        const artifact = blob && (await convertBlob(run, blob, sha512))
        if (artifact) return result(run, artifact, sha512, true)
      }
      const upload = typeof earlier === 'object' ? earlier : await createUpload(run)
      return await fill(run, upload, hashing, mayLookUp)
    } catch (error) {
      const isMove = isHoldfastError(error, 'upload_node_gone')
      await afterFailure(run, error, isMove ? moves < maxMoves : restarts < maxRestarts)
      if (isMove) moves++
      else restarts++
    }
  }
}

/** Asks for what an earlier reading of the unchanged source found. */
const hitWithoutReading = async (run: UploadRun): Promise<UploadResult | undefined> => {
  const { source, options, memory } = run
  if (options.lookup === false || options.rehash) return undefined
  const sha512 = await source.knownDigest?.()
  const blob = sha512 && (await lookUp(run, sha512))
  const artifact = blob && (await convertBlob(run, blob, sha512))
  if (!artifact) return undefined
  // An interrupted upload of the same file is of no use any more
  await memory.recall()
  await memory.abandon()
  return result(run, artifact, sha512, true)
}

/** Decides whether a run may start over with a new upload; throws `error` otherwise. */
const afterFailure = async (run: UploadRun, error: unknown, mayRestart: boolean): Promise<void> => {
  const unusable =
    isHoldfastError(error, 'upload_not_found') ||
    isHoldfastError(error, 'upload_node_gone') ||
    isHoldfastError(error, 'digest_mismatch') ||
    isHoldfastError(error, 'size_mismatch') ||
    isHoldfastError(error, 'upload_damaged') ||
    error instanceof VerificationError
  const gone = error instanceof SourceChangedError || isHoldfastError(error, 'upload_empty')
  // What can never be continued is not left lying about
  if (unusable || gone || !run.source.repeatable) await run.memory.abandon()
  if (!unusable || !run.source.repeatable || !mayRestart || run.signal.aborted) throw error
}

/** Finds the upload of an earlier run again, if there was one. */
const findEarlier = async (run: UploadRun): Promise<OpenUpload | 'gone' | undefined> => {
  const { memory, server, source, signal, options } = run
  const earlier = await memory.recall()
  if (earlier === undefined) return undefined
  try {
    const offset = await server.recover(earlier.uploadUuid, earlier.acknowledged, signal)
    if (offset <= source.size!) {
      run.resumed = offset
      options.onUpload?.({ uuid: earlier.uploadUuid, node: earlier.node, resumed: offset })
      return { uuid: earlier.uploadUuid, node: earlier.node, offset }
    }
    await memory.abandon()
    return undefined
  } catch (error) {
    if (isHoldfastError(error, 'upload_node_gone')) {
      await memory.abandon()
      return undefined
    }
    if (!isHoldfastError(error, 'upload_not_found')) throw error
    await memory.forget()
    return 'gone'
  }
}

const createUpload = async (run: UploadRun): Promise<OpenUpload> => {
  const { session, memory, source, words, signal, options } = run
  run.resumed = 0
  const declared = words.has('upload-size') && source.size !== undefined ? { size: source.size } : {}
  const view = await call(session, 'createUpload', { body: declared }, { signal })
  await memory.remember(view)
  options.onUpload?.({ uuid: view.uuid, node: view.node, resumed: 0 })
  return { uuid: view.uuid, node: view.node, offset: 0 }
}

/** Sends what is missing, unless the hash comes first and the server has the content; then converts. */
const fill = async (
  run: UploadRun,
  upload: OpenUpload,
  hashing: Promise<string> | undefined,
  mayLookUp: boolean,
  repairs = 0,
): Promise<UploadResult> => {
  const skip = new AbortController()
  let sending = true
  const found = hashing?.then(
    async (sha512) => {
      if (!mayLookUp || !sending) return undefined
      const blob = await lookUp(run, sha512)
      if (blob && sending) skip.abort(new DOMException('the server has the content', 'AbortError'))
      return blob
    },
    (error: unknown) => {
      // What cannot be hashed cannot be sent either
      skip.abort(error)
      throw error
    },
  )
  found?.catch(() => {})
  try {
    await sendAll(run, upload, AbortSignal.any([run.signal, skip.signal]))
  } catch (error) {
    if (!skip.signal.aborted || run.signal.aborted) throw error
    const blob = await found
    const sha512 = await hashing
    if (!blob || sha512 === undefined) throw error
    const artifact = await convertBlob(run, blob, sha512)
    if (artifact) {
      await run.memory.abandon()
      return result(run, artifact, sha512, true)
    }
    upload.offset = await run.server.recover(upload.uuid, upload.offset, run.signal)
    return await fill(run, upload, hashing, false, repairs)
  } finally {
    sending = false
  }
  const sha512 = await hashing
  try {
    const artifact = await convertUpload(run, upload, sha512)
    await run.memory.forget()
    return result(run, artifact, sha512, false)
  } catch (error) {
    if (!isHoldfastError(error, 'upload_damaged') || repairs >= maxRestarts) throw error
    // The server's disk has lost an end that had been acknowledged
    upload.offset = await run.server.recover(upload.uuid, upload.offset, run.signal)
    return await fill(run, upload, hashing, false, repairs + 1)
  }
}

/** Asks for the content by its digest. A look-up that fails is a miss: it only ever saves work. */
const lookUp = async (run: UploadRun, sha512: string): Promise<BlobView | undefined> => {
  const { session, source, options, signal } = run
  const meter = new PhaseMeter<UploadProgress>(options.onProgress, { phase: 'lookup', resumed: 0 })
  meter.at(0, 1)
  let blob: BlobView | null = null
  try {
    blob = await call(session, 'findBlob', { params: { algorithm: 'sha512', hash: sha512 } }, { signal })
  } catch {
    signal.throwIfAborted()
  }
  const hit = blob !== null && blob.size === source.size
  meter.at(1, 1, { finished: true, hit })
  return hit ? blob! : undefined
}

const result = (
  run: UploadRun,
  artifact: ArtifactView,
  sha512: string | undefined,
  hit: boolean,
): UploadResult => {
  if (artifact.blob_uuid === undefined) {
    throw new HoldfastError('internal', { message: 'the server made an artifact without a version' })
  }
  return {
    artifact,
    blobUuid: artifact.blob_uuid,
    version: artifact.index,
    size: run.source.size ?? 0,
    sha512,
    hit,
    resumed: run.resumed,
    sent: run.sent,
  }
}
