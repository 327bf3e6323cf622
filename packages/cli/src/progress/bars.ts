import type { WriteStream } from 'node:tty'
import { MultiBar, type SingleBar } from 'cli-progress'
import type { Display } from './display.ts'
import { isMeasured, type Progress, phaseNames, phaseText, shareOf } from './phase-text.ts'

const barWidth = 24
const nameWidth = 8

/** One line of the display. */
export const barLine = (label: string, progress: Progress): string => {
  const name = `${label === '' ? '' : `${label}  `}${phaseNames[progress.phase].padEnd(nameWidth)}`
  const share = shareOf(progress)
  if (!isMeasured(progress) || share === undefined) return `${name} ${phaseText(progress)}`
  const filled = Math.floor(share * barWidth)
  const bar = '█'.repeat(filled) + '░'.repeat(barWidth - filled)
  const percent = `${Math.floor(share * 100)}%`.padStart(4)
  return `${name} ${bar} ${percent}  ${phaseText(progress)}`
}

/** A bar for each phase of each transfer. */
export class BarDisplay implements Display {
  readonly #stream: WriteStream
  readonly #bars = new Map<string, Map<string, SingleBar>>()
  #multi: MultiBar | undefined

  constructor(stream: WriteStream) {
    this.#stream = stream
  }

  update(label: string, progress: Progress): void {
    const bars = this.#bars.get(label) ?? new Map<string, SingleBar>()
    this.#bars.set(label, bars)
    const payload = { label, progress }
    const bar = bars.get(progress.phase)
    if (bar) bar.update(progress.done, payload)
    else bars.set(progress.phase, this.#open().create(progress.total ?? 1, progress.done, payload))
  }

  note(text: string): void {
    if (this.#multi) this.#multi.log(`${text}\n`)
    else this.#stream.write(`${text}\n`)
  }

  finish(label: string): void {
    // A transfer alone leaves its bars as they are; of many, only those under way are shown
    if (label !== '') {
      for (const bar of this.#bars.get(label)?.values() ?? []) this.#multi?.remove(bar)
      this.#bars.delete(label)
    }
    if (label === '' || this.#bars.size === 0) this.pause()
  }

  pause(): void {
    // The last state of each bar may not have been drawn yet
    this.#multi?.update()
    this.#multi?.stop()
    this.#multi = undefined
    this.#bars.clear()
  }

  stop(): void {
    this.pause()
  }

  #open(): MultiBar {
    this.#multi ??= new MultiBar({
      stream: this.#stream,
      format: (_options, _params, payload: { label: string; progress: Progress }) =>
        barLine(payload.label, payload.progress),
      hideCursor: true,
      linewrap: false,
      // The terminal's own ^C may stand in a line that does not change any more
      forceRedraw: true,
      fps: 8,
      // Signals are ours: an interrupted transfer has something to say
      gracefulExit: false,
    })
    return this.#multi
  }
}
