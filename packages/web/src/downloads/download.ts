/**
 * Downloads, outside of any view. The browser cannot fetch with a token by itself, so the page does, and the client
 * checks every byte against the SHA-512 before the file gets its name: large files go straight to disk where the
 * browser lets a page write files, others are collected first.
 */
import type { DownloadProgress, DownloadRef } from '@holdfast/client/browser'
import { type Signal, signal } from '@preact/signals'
import { noticeError, session } from '../session.ts'

export interface DownloadTask {
  readonly id: number
  readonly fileName: string
  readonly size: number
  readonly progress: Signal<DownloadProgress | undefined>
  readonly state: Signal<{ kind: 'running' } | { kind: 'done' } | { kind: 'failed'; error: unknown }>
  readonly controller: AbortController
}

/** Not part of every type library: only Chromium's browsers have it. */
type SavePicker = (options: { suggestedName: string }) => Promise<{
  createWritable(): Promise<WritableStream<Uint8Array>>
}>
const savePicker = (): SavePicker | undefined =>
  (globalThis as { showSaveFilePicker?: SavePicker }).showSaveFilePicker

/** From this size on, a file is not collected before it is saved, if that can be helped. */
const largeBytes = 64 * 1024 * 1024

export const downloadTasks = signal<readonly DownloadTask[]>([])
let lastId = 0

export const dropDownload = (task: DownloadTask): void => {
  downloadTasks.value = downloadTasks.value.filter((other) => other !== task)
}

/** Saves a version or a blob under a name. Does nothing when the person closes the question for the place. */
export const download = async (ref: DownloadRef, fileName: string, size: number): Promise<void> => {
  const { client } = session.value!
  const pick = size >= largeBytes ? savePicker() : undefined
  const place = await pick?.({ suggestedName: fileName }).catch((error: unknown) => {
    if ((error as DOMException).name === 'AbortError') return 'closed'
    throw error
  })
  if (place === 'closed') return
  const task: DownloadTask = {
    id: ++lastId,
    fileName,
    size,
    progress: signal(undefined),
    state: signal<DownloadTask['state']['value']>({ kind: 'running' }),
    controller: new AbortController(),
  }
  downloadTasks.value = [...downloadTasks.value, task]
  try {
    const options = {
      ...ref,
      signal: task.controller.signal,
      onProgress: (progress: DownloadProgress) => {
        task.progress.value = progress
      },
    }
    if (typeof place === 'object') await client.download({ ...options, to: await place.createWritable() })
    else save((await client.download({ ...options, to: 'blob' })).content!, fileName)
    task.state.value = { kind: 'done' }
  } catch (error) {
    if (task.controller.signal.aborted) return dropDownload(task)
    task.state.value = { kind: 'failed', error }
    noticeError(error)
  }
}

/** Hands collected bytes to the browser's own downloads. */
const save = (content: Blob, fileName: string): void => {
  const url = URL.createObjectURL(content)
  const link = document.createElement('a')
  link.href = url
  link.download = fileName
  link.click()
  // The browser has taken the bytes by then; without this they would stay until the tab is closed.
  setTimeout(() => URL.revokeObjectURL(url), 60_000)
}
