import { sharedPageMemory } from '@holdfast/api/page-memory'

/** One piece of shared memory that a socket fills, the disk reads and a hash worker reads, without copies between. */
export interface Slot {
  readonly index: number
  readonly bytes: Uint8Array
}

/**
 * Copies `bytes` into shared memory from `at` on. Not by `set`: there V8 copies word by word, as others might look on, and
 * byte by byte where source and target are aligned differently, which after the headers of a request they are. Nobody looks
 * at the target yet. `copy` uses the processor's own copy, but only for a part of its source.
 */
export const copyIntoShared = (target: Uint8Array, bytes: Uint8Array, at: number): void => {
  if (bytes.length === 0) return
  target[at] = bytes[0]!
  const source = Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
  source.copy(target, at + 1, 1)
}

/** Somebody with a partly filled slot, who can be asked to send it on and so, soon, give it back. */
export interface SlotHolder {
  /** Called when others wait for slots; must start the write of what is there, and not take a new slot at once. */
  yieldSlot(): void
}

/** How long somebody waits for a slot before partly filled ones are sent on. */
const patienceMs = 100

/** Bytes in a slot: one block, so that slots and blocks fall together. */
export const slotSize = 1024 * 1024

/**
 * A bounded number of slots shared by all uploads; this bounds the memory of everything that arrives.
 *
 * Waiters are served in order. Senders may be slow or dead while their slot is half full, so a partly filled slot is
 * never a claim for ever: for everybody who has waited too long the holder that has been quiet longest is asked to send it
 * on. Otherwise a few dozen stalled connections would stop all uploads. Not at once, because where the hash sets the pace somebody
 * always waits, and is served in a moment; slots sent on with a few chunks in them would only cost more work each.
 */
export class SlotPool {
  /** All slots, in order; for the workers. Untouched parts cost no physical memory. */
  readonly memory: SharedArrayBuffer
  /** Used as a stack: the warmest slot first, cold ones stay untouched. */
  readonly #free: Slot[] = []
  readonly #waiting: { readonly since: number; give(slot: Slot): void }[] = []
  /** Holders of partly filled slots, the longest quiet first. */
  readonly #partial = new Set<SlotHolder>()
  #timer: NodeJS.Timeout | undefined

  constructor(count: number) {
    this.memory = sharedPageMemory(count * slotSize)
    for (let index = count - 1; index >= 0; index--)
      this.#free.push({ index, bytes: new Uint8Array(this.memory, index * slotSize, slotSize) })
  }

  /** Slots nobody uses: all of them when nothing is under way. */
  get free(): number {
    return this.#free.length
  }

  /** A slot, as soon as those who asked before have theirs. */
  acquire(): Slot | Promise<Slot> {
    if (this.#waiting.length === 0 && this.#free.length > 0) return this.#free.pop()!
    return new Promise((give) => {
      this.#waiting.push({ since: performance.now(), give })
      this.#watch(patienceMs)
    })
  }

  /** Gives a slot back; nobody may look at its bytes any more. */
  release(slot: Slot): void {
    const next = this.#waiting.shift()
    if (next) next.give(slot)
    else this.#free.push(slot)
  }

  /** The holder has put bytes into its slot and waits for more. */
  markPartial(holder: SlotHolder): void {
    this.#partial.delete(holder)
    this.#partial.add(holder)
  }

  /** The holder has sent its slot on. */
  unmark(holder: SlotHolder): void {
    this.#partial.delete(holder)
  }

  #watch(delay: number): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined
      this.#reclaim()
    }, delay)
  }

  /** Asks for a slot for each who has waited too long, and looks again while anybody waits. */
  #reclaim(): void {
    const before = performance.now() - patienceMs
    const late = this.#waiting.filter(({ since }) => since <= before).length
    for (const holder of [...this.#partial].slice(0, late)) {
      this.#partial.delete(holder)
      holder.yieldSlot()
    }
    if (this.#waiting.length > 0) this.#watch(patienceMs / 4)
  }
}
