/**
 * For tests only: what may be on a disk after a power cut.
 *
 * What a flush covered is there. Everything later is in doubt, each step for itself: bytes are there, or a part of them,
 * or zeros in their place, or nothing; a cut of a file took place or did not; a name is the old or the new one. What a
 * filesystem with a journal keeps together (both names of a rename) stays together unless `splitRenames` says
 * otherwise. Real filesystems do less harm than that.
 */
import { createHash } from 'node:crypto'
import { type Effect, type Entry, type NameChange, parentOf, type Tree } from './recorded-files.ts'

/** Numbers for choices; the suites' own generator fits. */
export interface Choices {
  /** At least 0, below 1. */
  next(): number
}

export interface StateOptions {
  /** How many entries took place. */
  readonly cut: number
  readonly random: Choices
  /** All states if they are so few, else so many of them, the extreme ones included. */
  readonly limit: number
  /** A rename may have made its new name without removing the old one, or the other way round. */
  readonly splitRenames: boolean
}

/** Something that is in doubt: an effect, or one of its names. */
type Doubt = { readonly effect: Effect; readonly change?: NameChange }
/** 0 is lost, 1 kept; bytes may also be 2 (zeros) or 3 (a part). */
type Fate = number

const fatesOf = ({ effect }: Doubt): number => (effect.kind === 'write' ? 4 : 2)

/** The states that the data directory may be in when the power fails after `cut` entries, without repetition. */
export function* statesAt(base: Tree, entries: readonly Entry[], options: StateOptions): Generator<Tree> {
  const past = entries.slice(0, options.cut)
  const effects = past.flatMap((entry) => (entry.kind === 'effect' ? [entry.effect] : []))
  const doubts = findDoubts(past, options.splitRenames)
  const seen = new Set<string>()
  for (const fates of chooseFates(doubts, options)) {
    const tree = build(base, effects, doubts, fates)
    const key = treeKey(tree)
    if (seen.has(key)) continue
    seen.add(key)
    yield tree
  }
}

/** What is there when nothing is lost: after a kill of the process. */
export const stateAfterKill = (base: Tree, entries: readonly Entry[], cut: number): Tree => {
  const effects = entries.slice(0, cut).flatMap((entry) => (entry.kind === 'effect' ? [entry.effect] : []))
  return build(base, effects, [], [])
}

/** Equal for equal trees. */
export const treeKey = (tree: Tree): string => {
  const hash = createHash('sha1')
  for (const [path, content] of [...tree].sort(([a], [b]) => (a < b ? -1 : 1)))
    hash.update(`${path}\0${content === 'directory' ? 'd' : content.length}\0`).update(content)
  return hash.digest('base64')
}

const findDoubts = (past: readonly Entry[], splitRenames: boolean): Doubt[] => {
  const doubts = new Set<Doubt>()
  for (const entry of past) {
    if (entry.kind === 'effect') {
      const { effect } = entry
      if (effect.kind === 'names' && splitRenames)
        for (const change of effect.changes) doubts.add({ effect, change })
      else doubts.add({ effect })
    } else if (entry.kind === 'sync') {
      const covered = new Set(entry.covers)
      for (const doubt of doubts) {
        const isThere = doubt.change === undefined || parentOf(doubt.change.path) === entry.directory
        if (covered.has(doubt.effect) && isThere) doubts.delete(doubt)
      }
    }
  }
  return [...doubts]
}

function* chooseFates(doubts: readonly Doubt[], { random, limit }: StateOptions): Generator<Fate[]> {
  const total = doubts.reduce((product, doubt) => product * fatesOf(doubt), 1)
  if (total <= limit) {
    for (let n = 0; n < total; n++) {
      let rest = n
      yield doubts.map((doubt) => {
        const fate = rest % fatesOf(doubt)
        rest = Math.floor(rest / fatesOf(doubt))
        return fate
      })
    }
    return
  }
  const isName = ({ effect }: Doubt) => effect.kind === 'names'
  yield doubts.map(() => 0)
  yield doubts.map(() => 1)
  yield doubts.map((doubt) => (isName(doubt) ? 1 : 0))
  yield doubts.map((doubt) => (isName(doubt) ? 0 : 1))
  yield doubts.map((doubt) => (isName(doubt) ? 1 : Math.min(2, fatesOf(doubt) - 1)))
  // Only the newest: the steps under way are in doubt, those before were lucky.
  yield doubts.map((_, at) => (at === doubts.length - 1 ? 0 : 1))
  for (let n = 6; n < limit; n++) {
    const luck = random.next()
    yield doubts.map((doubt) => (random.next() < luck ? 1 : Math.floor(random.next() * fatesOf(doubt))))
  }
}

const build = (
  base: Tree,
  effects: readonly Effect[],
  doubts: readonly Doubt[],
  fates: readonly Fate[],
): Tree => {
  const fate = new Map<Effect | NameChange, Fate>()
  for (const [at, { effect, change }] of doubts.entries()) fate.set(change ?? effect, fates[at]!)
  const files = new Map<number, Buffer>()
  const names = new Map<string, number | 'directory'>()
  for (const [path, content] of base) {
    names.set(path, content === 'directory' ? content : files.size)
    if (content !== 'directory') files.set(files.size, content)
  }
  for (const effect of effects) {
    if (effect.kind === 'names') {
      for (const change of effect.changes) {
        if ((fate.get(change) ?? fate.get(effect) ?? 1) === 0) continue
        if (change.to === undefined) names.delete(change.path)
        else names.set(change.path, change.to)
      }
    } else files.set(effect.file, changed(files.get(effect.file) ?? empty, effect, fate.get(effect) ?? 1))
  }
  const tree = new Map<string, Buffer | 'directory'>()
  for (const [path, what] of names) {
    const parent = parentOf(path)
    if (parent !== '' && names.get(parent) !== 'directory') continue
    tree.set(path, what === 'directory' ? what : (files.get(what) ?? empty))
  }
  return tree
}

const empty = Buffer.alloc(0)

const changed = (bytes: Buffer, effect: Exclude<Effect, { kind: 'names' }>, fate: Fate): Buffer => {
  if (fate === 0) return bytes
  if (effect.kind === 'truncate') return resized(bytes, effect.size)
  const data = fate === 3 ? effect.data.subarray(0, effect.data.length >> 1) : effect.data
  const result = Buffer.from(resized(bytes, Math.max(bytes.length, effect.position + data.length)))
  if (fate === 2) result.fill(0, effect.position, effect.position + data.length)
  else data.copy(result, effect.position)
  return result
}

const resized = (bytes: Buffer, size: number): Buffer =>
  size <= bytes.length ? bytes.subarray(0, size) : Buffer.concat([bytes, Buffer.alloc(size - bytes.length)])
