import { HoldfastError } from '@holdfast/api/errors'

/** The right to change one upload, held by one request at a time. */
export class Turn {
  /** Appends can be stopped half-way; everything else is short, or must not be. */
  readonly kind: 'append' | 'exclusive'
  /** Since when (performance.now) the holder has been waiting for its client; undefined while it is busy itself. */
  waitingSince: number | undefined
  /** Set once the turn has been asked to end; it must then end soon by itself. */
  stopped: HoldfastError | undefined
  /** Called at once when the turn is asked to end. */
  onStop: ((reason: HoldfastError) => void) | undefined

  constructor(kind: Turn['kind']) {
    this.kind = kind
  }

  stop(): void {
    if (this.kind !== 'append' || this.stopped) return
    this.stopped = new HoldfastError('upload_busy', { message: 'a newer request has taken over this upload' })
    this.onStop?.(this.stopped)
  }
}

interface Waiting {
  readonly turn: Turn
  resolve(turn: Turn): void
  reject(reason: Error): void
}

/**
 * Who may change an upload, and when (the rules and their reasons stand at the head of upload-files.ts): first come,
 * first served; one who takes over ends the append under way and those still waiting; one who merely waits ends the
 * append under way when its client has been silent for too long.
 */
export class Turns {
  readonly #stallTimeoutMs: number
  readonly #queue: Waiting[] = []
  #current: Turn | undefined
  #timer: NodeJS.Timeout | undefined

  constructor(stallTimeoutMs: number) {
    this.#stallTimeoutMs = stallTimeoutMs
  }

  /** Nobody has or waits for a turn. */
  get idle(): boolean {
    return this.#current === undefined && this.#queue.length === 0
  }

  /** Resolves when it is this request's turn; rejects with `upload_busy` when a newer request took over. */
  take(kind: Turn['kind'], takeOver: boolean): Promise<Turn> {
    if (takeOver) this.#clearTheWay()
    const turn = new Turn(kind)
    if (!this.#current) {
      this.#current = turn
      return Promise.resolve(turn)
    }
    return new Promise((resolve, reject) => {
      this.#queue.push({ turn, resolve, reject })
      this.#watch()
    })
  }

  release(turn: Turn): void {
    if (this.#current !== turn) return
    clearTimeout(this.#timer)
    this.#timer = undefined
    const next = this.#queue.shift()
    this.#current = next?.turn
    next?.resolve(next.turn)
    this.#watch()
  }

  #clearTheWay(): void {
    this.#current?.stop()
    for (const waiting of this.#queue.splice(0)) {
      if (waiting.turn.kind !== 'append') {
        this.#queue.push(waiting)
        continue
      }
      waiting.turn.stop()
      waiting.reject(waiting.turn.stopped!)
    }
  }

  /** While somebody waits behind an append: end it once its client has been silent for the whole time-out. */
  #watch(): void {
    const holder = this.#current
    if (this.#timer || this.#queue.length === 0 || holder?.kind !== 'append' || holder.stopped) return
    const now = performance.now()
    const left = (holder.waitingSince ?? now) + this.#stallTimeoutMs - now
    if (left <= 0) {
      holder.stop()
      return
    }
    this.#timer = setTimeout(() => {
      this.#timer = undefined
      this.#watch()
    }, Math.ceil(left))
  }
}
