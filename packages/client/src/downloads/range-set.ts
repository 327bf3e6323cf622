/** A half-open range of bytes. */
export type Range = readonly [start: number, end: number]

/** Which bytes are there: disjoint, sorted ranges that do not touch each other. */
export class RangeSet {
  #ranges: Range[] = []

  constructor(ranges: Iterable<Range> = []) {
    for (const [start, end] of ranges) this.add(start, end)
  }

  /** Forgets what lies beyond the first gap. */
  keepFront(): void {
    this.#ranges = this.front === 0 ? [] : [[0, this.front]]
  }

  get ranges(): readonly Range[] {
    return this.#ranges
  }

  /** How many bytes are there. */
  get total(): number {
    return this.#ranges.reduce((sum, [start, end]) => sum + end - start, 0)
  }

  /** The end of the range that begins at 0. */
  get front(): number {
    const first = this.#ranges[0]
    return first?.[0] === 0 ? first[1] : 0
  }

  add(start: number, end: number): void {
    if (start >= end) return
    const before = this.#ranges.filter((range) => range[1] < start)
    const after = this.#ranges.filter((range) => range[0] > end)
    const touched = this.#ranges.slice(before.length, this.#ranges.length - after.length)
    const from = Math.min(start, touched[0]?.[0] ?? start)
    const to = Math.max(end, touched.at(-1)?.[1] ?? end)
    this.#ranges = [...before, [from, to], ...after]
  }

  /** What is missing below `size`, in pieces of at most `pieceBytes`, from the front. */
  gaps(size: number, pieceBytes: number): Range[] {
    const gaps: Range[] = []
    let at = 0
    for (const [start, end] of [...this.#ranges, [size, size] as const]) {
      for (; at < Math.min(start, size); ) {
        const to = Math.min(at + pieceBytes, start, size)
        gaps.push([at, to])
        at = to
      }
      at = Math.max(at, end)
    }
    return gaps
  }
}
