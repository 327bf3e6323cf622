/**
 * Fetching an artifact from a URL in the background: the requests, and the queue that they stand in.
 *
 * A request finds or makes the artifact and puts it into the table `fetches`, in one transaction. `runFetches` works
 * on what is due there, a few at once, and `fetch-run.ts` on each of them. What is in the table survives a restart, and
 * so do the bytes fetched so far: they are in an upload.
 */
import { HoldfastError } from '@holdfast/api/errors'
import { maxNameLength } from '@holdfast/api/limits'
import type { ArtifactView } from '@holdfast/api/schemas'
import type { Database } from '../db/database.ts'
import type { Row } from '../db/schema.ts'
import { makeAddressGuard } from '../fetch/address-guard.ts'
import type { Caller, Parts } from '../parts.ts'
import { viewFor } from './artifacts.ts'
import { runFetch } from './fetch-run.ts'
import { pokeJob } from './jobs/job.ts'
import { findOrCreateArtifact, recordArtifactEvent } from './versions.ts'
import { requireNamespace, systemNamespace } from './visibility.ts'

export interface FetchInput {
  readonly url: string
  readonly shared?: boolean | undefined
  readonly namespace?: string | undefined
}

/**
 * Asks for the newest content of a URL as a version of an image artifact. What is refused at sight creates nothing; a
 * fetch of the same artifact that waits or runs already serves this request, too.
 */
export const fetchArtifact = async (
  parts: Parts,
  caller: Caller,
  { url, shared = false, namespace = caller.namespace }: FetchInput,
): Promise<ArtifactView> => {
  const { href } = makeAddressGuard({ allow: parts.config.fetchAllow }).checkUrl(url)
  if (shared && caller.namespace !== systemNamespace) throw new HoldfastError('share_system_only')
  const artifact = await parts.db.write(async (trx) => {
    await requireNamespace(trx, caller, namespace)
    const identity = { namespace, type: 'image', sourceUrl: url, name: nameOf(new URL(href)) } as const
    const found = await findOrCreateArtifact(trx, parts, caller, { identity, shared }, 'initial')
    await recordArtifactEvent(trx, parts, caller, found, 'audit', 'fetch requested')
    const former = await trx
      .selectFrom('fetches')
      .selectAll()
      .where('artifact_uuid', '=', found.uuid)
      .executeTakeFirst()
    if (former?.state === 'waiting' || former?.state === 'running') return found
    const now = parts.clock.now()
    const order = {
      url,
      state: 'waiting',
      attempts: 0,
      next_attempt_at: now,
      upload_uuid: null,
      if_range: null,
      error: null,
      caller_namespace: caller.namespace,
      shared: shared ? 1 : 0,
      request_id: caller.requestId,
      updated_at: now,
    } as const
    await trx
      .insertInto('fetches')
      .values({ artifact_uuid: found.uuid, etag: null, last_modified: null, ...order })
      .onConflict((conflict) => conflict.column('artifact_uuid').doUpdateSet(order))
      .execute()
    if (found.state !== 'error') return found
    const again = { state: 'initial', error: null } as const
    await trx.updateTable('artifacts').set(again).where('uuid', '=', found.uuid).execute()
    return { ...found, ...again }
  })
  pokeJob(parts, 'run-fetches')
  queues.get(parts.db.read)?.wake()
  return viewFor(parts, caller, artifact)
}

/** The last part of the path, or the host where there is none, as a name that an artifact may have. */
const nameOf = (url: URL): string => {
  const last = url.pathname.split('/').filter(Boolean).at(-1) ?? url.hostname
  let name = last
  try {
    name = decodeURIComponent(last)
  } catch {
    // Percent signs that mean themselves.
  }
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what names must not have
  const clean = name.replace(/[/\u0000-\u001f\u007f]/g, '_')
  return [...clean].slice(0, maxNameLength).join('')
}

/** Fetches that run at the same time. */
const maxRunning = 4

/** The running queue of each server: while it runs, a new request wakes it and another call joins it. */
const queues = new WeakMap<Database['read'], { readonly ended: Promise<void>; wake(): void }>()

/**
 * Runs the fetches that are due, a few at once, and resolves when none is due any more. The scheduler calls it again
 * and again; calls while one runs join it. Aborting `signal` stops downloads where they are: they continue later.
 */
export const runFetches = (parts: Parts, signal: AbortSignal): Promise<void> => {
  const running = queues.get(parts.db.read)
  if (running) return running.ended
  let wake = () => {}
  const ended = workOff(parts, signal, (onWake) => {
    wake = onWake
  }).finally(() => queues.delete(parts.db.read))
  queues.set(parts.db.read, { ended, wake: () => wake() })
  return ended
}

const workOff = async (
  parts: Parts,
  signal: AbortSignal,
  listen: (onWake: () => void) => void,
): Promise<void> => {
  await requeueInterrupted(parts)
  const running = new Map<string, Promise<void>>()
  // One that could not even be taken from the queue is left for the next call.
  const tried = new Set<string>()
  for (;;) {
    const woken = new Promise<void>((resolve) => listen(resolve))
    const due = signal.aborted ? [] : await dueFetches(parts, maxRunning + running.size + tried.size)
    for (const { artifact_uuid: uuid } of due) {
      if (running.size >= maxRunning || running.has(uuid) || tried.has(uuid)) continue
      const run = runFetch(parts, uuid, signal)
        .catch((error) => {
          tried.add(uuid)
          parts.log.error({ err: error, artifact: uuid }, 'a fetch failed for reasons of this server')
        })
        .then(() => {
          running.delete(uuid)
        })
      running.set(uuid, run)
    }
    if (running.size === 0) return
    await Promise.race([woken, ...running.values()])
  }
}

/**
 * What claims to run while this queue does not was cut short, by a crash or by a failure of the database; and what a node
 * runs that is gone is another's to run. Should that one live, it finds that the fetch is not its own any more.
 */
const requeueInterrupted = async ({ db, nodes }: Parts): Promise<void> => {
  const running = await db.read.selectFrom('fetches').select('run').where('state', '=', 'running').execute()
  if (running.length === 0) return
  const others = (await nodes.list()).filter(({ name, health }) => name !== nodes.name && health !== 'gone')
  const theirs = new Set(others.map(({ run }) => run))
  const cutShort = [...new Set(running.map(({ run }) => run ?? ''))].filter((run) => !theirs.has(run))
  if (cutShort.length > 0)
    await db.write((trx) =>
      trx
        .updateTable('fetches')
        .set({ state: 'waiting', run: null })
        .where('state', '=', 'running')
        .where(({ eb, fn, val }) => eb(fn.coalesce('run', val('')), 'in', cutShort))
        .execute(),
    )
}

/** The longest waiting first. What another node has begun to fetch is left to it while it is there: it has the bytes. */
const dueFetches = async (
  { db, clock, nodes }: Parts,
  limit: number,
): Promise<Pick<Row<'fetches'>, 'artifact_uuid'>[]> => {
  const others = nodes.isShared
    ? (await nodes.list()).filter(({ name, health }) => name !== nodes.name && health !== 'gone')
    : []
  const due = db.read
    .selectFrom('fetches')
    .select('fetches.artifact_uuid')
    .where('fetches.state', '=', 'waiting')
    .where('fetches.next_attempt_at', '<=', clock.now())
    .orderBy('fetches.next_attempt_at')
    .limit(limit)
  if (others.length === 0) return due.execute()
  const names = others.map(({ name }) => name)
  return due
    .leftJoin('uploads', 'uploads.uuid', 'fetches.upload_uuid')
    .where((eb) => eb.or([eb('uploads.node', 'is', null), eb('uploads.node', 'not in', names)]))
    .execute()
}
