/** For tests only: files on a disk that fails, lies or dawdles at chosen calls. */
import { setTimeout as sleep } from 'node:timers/promises'
import { type FileOps, type OpenFile, realFiles } from '../blobs/files.ts'

export type Fault =
  /** Nothing happens but the error. */
  | { readonly kind: 'error'; readonly code: string }
  /** It happens, and then the error. */
  | { readonly kind: 'late error'; readonly code: string }
  /** Half of a write happens; of anything else nothing. */
  | { readonly kind: 'short'; readonly code: string }
  | { readonly kind: 'stall'; readonly ms: number }
  /** A read gives one wrong bit. */
  | { readonly kind: 'flip' }

/** Counts calls and asks what is to go wrong with each; `call` counts from 1. */
export class FaultyFiles {
  calls = 0
  /** Faults that took place. */
  faults = 0
  choose: (call: number, what: string) => Fault | undefined = () => undefined

  wrap(files: FileOps = realFiles): FileOps {
    const wrapFile = (file: OpenFile): OpenFile => ({
      ...file,
      read: (target, position) => this.#do('read', () => file.read(target, position), { target }),
      write: (data, position) =>
        this.#do('write', () => file.write(data, position), {
          // What fits into a sector is written whole or not at all.
          half: async () => {
            if (data.length > 512) await file.write(data.subarray(0, data.length >> 1), position)
          },
        }),
      truncate: (size) => this.#do('truncate', () => file.truncate(size)),
      sync: () => this.#do('sync', () => file.sync()),
    })
    return {
      ...files,
      open: async (path, how) => wrapFile(await this.#do(`open ${how}`, () => files.open(path, how))),
      rename: (from, to) => this.#do('rename', () => files.rename(from, to)),
      link: (from, to) => this.#do('link', () => files.link(from, to)),
      unlink: (path) => this.#do('unlink', () => files.unlink(path)),
      makeDirectory: (path) => this.#do('make directory', () => files.makeDirectory(path)),
      syncDirectory: (path) => this.#do('sync directory', () => files.syncDirectory(path)),
      list: (path) => this.#do('list', () => files.list(path)),
      stat: (path) => this.#do('stat', () => files.stat(path)),
    }
  }

  async #do<T>(
    what: string,
    act: () => Promise<T>,
    { half, target }: { half?: () => Promise<void>; target?: Uint8Array } = {},
  ): Promise<T> {
    const fault = this.choose(++this.calls, what)
    if (!fault) return act()
    this.faults++
    if (fault.kind === 'stall') {
      await sleep(fault.ms)
      return act()
    }
    if (fault.kind === 'flip') {
      const result = await act()
      if (target && target.length > 0) target[target.length >> 1]! ^= 1
      return result
    }
    if (fault.kind === 'late error') {
      const result = await act()
      // An error instead of an open file leaves no file open.
      if (what.startsWith('open')) await (result as OpenFile).close()
    }
    if (fault.kind === 'short') await half?.()
    throw Object.assign(new Error(`${fault.code}: ${what}`), { code: fault.code, syscall: what })
  }
}
