/**
 * The uploads of this tab, outside of any view: they go on while one looks at something else, and when the session has
 * ended they wait for somebody of the same namespace to sign in again.
 *
 * The client's engine does the work. A paused or failed run leaves its upload and its record, and another run of the
 * same file goes on where the server's data ends.
 */
import type {
  UploadPhase,
  UploadProgress,
  UploadResult,
  UploadTarget,
  UploadView,
} from '@holdfast/client/browser'
import { computed, type Signal, signal } from '@preact/signals'
import { noticeError, type Session, session } from '../session.ts'

export type UploadState =
  | { readonly kind: 'waiting' }
  | { readonly kind: 'running' }
  | { readonly kind: 'paused'; readonly kept?: Kept | 'unsent' | undefined }
  | { readonly kind: 'failed'; readonly error: unknown; readonly kept?: Kept | 'unsent' | undefined }
  | { readonly kind: 'done'; readonly result: UploadResult; readonly seconds: number }

/** What the server has of an upload that does not run. */
export type Kept = Pick<UploadView, 'uuid' | 'size' | 'expires_at'>

export interface UploadTask {
  readonly id: number
  readonly file: File
  readonly target: UploadTarget
  readonly namespace: string
  readonly state: Signal<UploadState>
  readonly progress: Signal<Partial<Record<UploadPhase, UploadProgress>>>
  /** Bytes that an earlier run had sent. */
  readonly resumed: Signal<number>
}

interface Run {
  readonly controller: AbortController
  uploadUuid: string | undefined
}

/** More at once would only share the line. */
const maxRunning = 2

export const uploadTasks = signal<readonly UploadTask[]>([])
export const runningUploads = computed(
  () => uploadTasks.value.filter(({ state }) => ['running', 'waiting'].includes(state.value.kind)).length,
)

const runs = new Map<UploadTask, Run>()
let lastId = 0

/** Adds a file; it begins as soon as there is room. */
export const addUpload = (file: File, target: UploadTarget): void => {
  const namespace = session.value!.namespace
  const task: UploadTask = {
    id: ++lastId,
    file,
    target,
    namespace,
    state: signal<UploadState>({ kind: 'waiting' }),
    progress: signal({}),
    resumed: signal(0),
  }
  uploadTasks.value = [...uploadTasks.value.filter((other) => other.namespace === namespace), task]
  startWaiting()
}

/** Lets a paused or failed upload go on. */
export const resumeUpload = (task: UploadTask): void => {
  task.state.value = { kind: 'waiting' }
  task.progress.value = {}
  startWaiting()
}

/** Stops an upload; what the server has stays there. */
export const pauseUpload = (task: UploadTask): void => {
  const run = runs.get(task)
  if (run) run.controller.abort()
  else task.state.value = { kind: 'paused' }
}

/** Stops them all. */
export const stopUploads = (): void => {
  for (const task of uploadTasks.value)
    if (['running', 'waiting'].includes(task.state.value.kind)) pauseUpload(task)
}

/** Takes an upload off the list; nothing happens on the server. */
export const dropUpload = (task: UploadTask): void => {
  uploadTasks.value = uploadTasks.value.filter((other) => other !== task)
}

const startWaiting = (): void => {
  const current = session.value
  if (current === undefined) return
  for (const task of uploadTasks.value) {
    if (runs.size >= maxRunning) return
    if (task.state.value.kind === 'waiting' && task.namespace === current.namespace) void start(task, current)
  }
}

const start = async (task: UploadTask, { client }: Session): Promise<void> => {
  const run: Run = { controller: new AbortController(), uploadUuid: undefined }
  runs.set(task, run)
  task.state.value = { kind: 'running' }
  const began = performance.now()
  try {
    const result = await client.upload({
      source: task.file,
      ...task.target,
      signal: run.controller.signal,
      onUpload: ({ uuid, resumed }) => {
        run.uploadUuid = uuid
        task.resumed.value = resumed
      },
      onProgress: (progress) => {
        task.progress.value = { ...task.progress.value, [progress.phase]: progress }
      },
    })
    task.state.value = { kind: 'done', result, seconds: (performance.now() - began) / 1000 }
  } catch (error) {
    const end = (kept?: Kept | 'unsent'): UploadState =>
      run.controller.signal.aborted ? { kind: 'paused', kept } : { kind: 'failed', error, kept }
    task.state.value = end(run.uploadUuid === undefined ? 'unsent' : undefined)
    noticeError(error)
    if (run.uploadUuid !== undefined)
      client.uploads.show(run.uploadUuid).then(
        (kept) => {
          // Unless it runs again by now
          if (['paused', 'failed'].includes(task.state.value.kind)) task.state.value = end(kept)
        },
        () => {},
      )
  } finally {
    runs.delete(task)
    startWaiting()
  }
}

// Closing the tab only interrupts, but people should know.
addEventListener('beforeunload', (event) => {
  if (runs.size > 0) event.preventDefault()
})
