/** How far a migration is: a bar that is drawn again on a terminal, a line every few seconds elsewhere. */

export interface Progress {
  /** A part of the work begins; `total` in the unit that `add` counts. */
  begin(what: string, unit: 'bytes' | 'rows', total?: number): void
  /** So much more is done; taken back when it is negative. */
  add(count: number): void
  /** The part is done; the last state stays. */
  end(): void
  /** A line that stays. */
  note(text: string): void
}

export const silentProgress: Progress = { begin() {}, add() {}, end() {}, note() {} }

/** A terminal, or a file. */
interface Output {
  readonly isTTY?: boolean
  write(text: string): unknown
}

const barEveryMs = 125
const lineEveryMs = 5000
const barWidth = 24
const eraseLine = '\r\u001b[K'

const units = ['bytes', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB']
const sizeText = (bytes: number): string => {
  const step = Math.min(units.length - 1, bytes < 1 ? 0 : Math.floor(Math.log2(bytes) / 10))
  return `${(bytes / 1024 ** step).toFixed(step === 0 ? 0 : 1)} ${units[step]}`
}

export const createProgress = (out: Output, now: () => number = () => performance.now()): Progress => {
  let part: { what: string; unit: 'bytes' | 'rows'; total: number | undefined } | undefined
  let done = 0
  let beganAt = 0
  let shownAt = 0

  const text = (): string => {
    const { what, unit, total } = part!
    const say = (count: number) => (unit === 'bytes' ? sizeText(count) : String(Math.round(count)))
    const rate = done / Math.max(0.001, (now() - beganAt) / 1000)
    const share = total === undefined || total === 0 ? undefined : Math.min(1, done / total)
    const percent = share === undefined ? '' : `${Math.floor(share * 100)}%, `
    const bar =
      out.isTTY && share !== undefined
        ? `${'█'.repeat(Math.floor(share * barWidth)).padEnd(barWidth, '░')} `
        : ''
    return `${what}: ${bar}${percent}${say(done)}${total === undefined ? '' : ` of ${say(total)}`}${unit === 'rows' ? ' rows' : ''}, ${say(rate)}/s`
  }
  const show = (isLast: boolean) => {
    shownAt = now()
    if (out.isTTY) out.write(`${eraseLine}${text()}${isLast ? '\n' : ''}`)
    else out.write(`${text()}${isLast ? ', done' : ''}\n`)
  }

  return {
    begin(what, unit, total) {
      part = { what, unit, total }
      done = 0
      beganAt = now()
      shownAt = beganAt
    },
    add(count) {
      done += count
      if (part && now() - shownAt > (out.isTTY ? barEveryMs : lineEveryMs)) show(false)
    },
    end() {
      if (part) show(true)
      part = undefined
    },
    note(line) {
      out.write(`${out.isTTY ? eraseLine : ''}${line}\n`)
      if (part && out.isTTY) show(false)
    },
  }
}
