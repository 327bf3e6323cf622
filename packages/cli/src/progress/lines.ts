import type { Display } from './display.ts'
import { isMeasured, type Progress, phaseNames, phaseText, shareOf } from './phase-text.ts'

const everyMs = 5000

/** A line every few seconds and at the end of each phase: for logs. */
export class LineDisplay implements Display {
  readonly #stream: { write(text: string): unknown }
  readonly #now: () => number
  /** When something was last said about each phase. */
  readonly #saidAt = new Map<string, number>()

  constructor(stream: { write(text: string): unknown }, now: () => number = () => performance.now()) {
    this.#stream = stream
    this.#now = now
  }

  update(label: string, progress: Progress): void {
    const id = `${label}\n${progress.phase}`
    const now = this.#now()
    // The first report of a phase says nothing yet, unless it says that an earlier run is continued
    if (!this.#saidAt.has(id)) this.#saidAt.set(id, progress.resumed > 0 ? Number.NEGATIVE_INFINITY : now)
    if (!progress.finished && now - this.#saidAt.get(id)! < everyMs) return
    this.#saidAt.set(id, now)
    const share = shareOf(progress)
    const percent =
      isMeasured(progress) && !progress.finished && share !== undefined ? `${Math.floor(share * 100)}%, ` : ''
    this.note(
      `${label === '' ? '' : `${label}: `}${phaseNames[progress.phase]}: ${percent}${phaseText(progress)}`,
    )
  }

  note(text: string): void {
    this.#stream.write(`${text}\n`)
  }

  finish(label: string): void {
    for (const id of this.#saidAt.keys()) if (id.startsWith(`${label}\n`)) this.#saidAt.delete(id)
  }

  pause(): void {}

  stop(): void {}
}
