/** Slots of one upload on their way to the disk and the hash, besides the one being filled. */
const maxUnderWay = 8

/** Counts the slots that one upload has handed to the disk and the hash, so that no upload takes the whole pool. */
export class SlotsUnderWay {
  #count = 0
  #onRemoved: (() => void) | undefined

  /** Resolves when one more may be handed on. Only the request whose turn it is may wait. */
  async keepUp(): Promise<void> {
    while (this.#count >= maxUnderWay) {
      await new Promise<void>((resolve) => {
        this.#onRemoved = resolve
      })
    }
  }

  add(): void {
    this.#count++
  }

  remove(): void {
    this.#count--
    this.#onRemoved?.()
  }
}
