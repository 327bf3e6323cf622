/**
 * The nodes of a store: servers that share its database and its blobs. Each has its own data directory, with the files of
 * the uploads that it took.
 *
 * **Who is there.** Every node says so every few seconds (`heartbeats.ts`). One that has not for `config.nodeTimeout` is
 * taken for gone: its uploads are refused with `upload_node_gone`, its turns pass to others. That it may be alive
 * nevertheless (frozen, cut off) is provided for wherever it matters: nothing that it could still do is trusted to time alone.
 *
 * A node that was itself away from the database judges nobody until it has been back for as long: after a pause of the
 * database all have been silent.
 */
import type { NodeState, Row } from '../../db/schema.ts'
import type { Clock } from '../../parts.ts'

/** What others take a node for: see the schema of the contract. */
export type NodeHealth = 'up' | 'stopping' | 'silent' | 'gone'

export interface NodeFacts {
  readonly name: string
  /** A fresh UUID at each start. */
  readonly run: string
  /** Where the others reach it; '' while it starts, and when it cannot be reached. */
  readonly url: string
  readonly version: string
  readonly health: NodeHealth
  /** Milliseconds. */
  readonly startedAt: number
  readonly seenAt: number
}

/** This node, and the others. */
export interface Nodes {
  /** Whether there may be others. */
  readonly isShared: boolean
  readonly name: string
  readonly run: string
  /** Signs what nodes say to each other; empty when there are no others. */
  readonly secret: Uint8Array
  /** All there are, this one included, as of a second ago at most. */
  list(): Promise<readonly NodeFacts[]>
  find(name: string): Promise<NodeFacts | undefined>
}

export interface AloneOptions {
  readonly name: string
  readonly version: string
  readonly clock: Clock
}

/** A node that shares nothing. */
export const aloneNode = ({ name, version, clock }: AloneOptions): Nodes => {
  const startedAt = clock.now()
  const own = (): NodeFacts => ({
    name,
    run: '',
    url: '',
    version,
    health: 'up',
    startedAt,
    seenAt: clock.now(),
  })
  return {
    isShared: false,
    name,
    run: '',
    secret: new Uint8Array(),
    list: async () => [own()],
    find: async (wanted) => (wanted === name ? own() : undefined),
  }
}

/** A node that was stopped in good order is mostly being started again. */
const restartPatience = 4

/** What to take a node for that was last seen `age` ms ago; `mayJudge`: whether silence is its own doing. */
export const healthOf = (state: NodeState, age: number, timeoutMs: number, mayJudge: boolean): NodeHealth => {
  const patienceMs = state === 'stopped' ? timeoutMs * restartPatience : timeoutMs
  if (age > patienceMs) return mayJudge ? 'gone' : 'silent'
  if (state !== 'up') return 'stopping'
  return age > timeoutMs / 2 ? 'silent' : 'up'
}

export const factsOf = (row: Row<'nodes'>, health: NodeHealth): NodeFacts => ({
  name: row.name,
  run: row.run,
  url: row.url,
  version: row.version,
  health,
  startedAt: row.started_at,
  seenAt: row.seen_at,
})
