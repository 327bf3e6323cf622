/** What the steps of the model suite stand on: the server and the world side by side, and how they are compared. */
import type { Agent } from 'node:http'
import { isDeepStrictEqual } from 'node:util'
import { type Answer, login, type Session } from '../support/api.ts'
import type { RunningServer } from '../support/server.ts'
import { type Artifact, type Refusal, shownArtifact, viewOf, type World } from './model-world.ts'

/** One step. Its numbers pick among what there is, so that a shrunk sequence still makes sense. */
export interface Step {
  /** Who does it: one of the namespaces. */
  readonly actor: number
  readonly a: number
  readonly b: number
  readonly c: number
  readonly d: number
}

/** A server, and who is logged in there. */
export interface Place {
  readonly server: RunningServer
  readonly sessions: Map<string, Session>
  readonly agent: Agent
}

/** A world beside the server it describes. */
export class Stage {
  readonly world: World
  readonly #place: Place
  /** Contents and names of this sequence only. */
  readonly contents: readonly string[]
  readonly names = ['disk', 'häuser und gärten', 'x']
  /** What was done, for people. */
  readonly log: string[] = []
  /** What ended because its time had come. */
  readonly gone: string[] = []

  constructor(world: World, place: Place, contents: readonly string[]) {
    this.world = world
    this.#place = place
    this.contents = contents
  }

  /** Lets time pass for both; the jobs of the server have run then. */
  async pass(minutes: number): Promise<void> {
    this.log.push(`${minutes} minutes pass`)
    this.world.noteReferences()
    await this.#place.server.jump(minutes * 60_000)
    this.gone.push(...this.world.pass(minutes * 60_000))
  }

  get namespaces(): string[] {
    return [...this.world.namespaces.keys()]
  }

  /** Sends a request in the name of a namespace; a dead one is refused whatever it asks. */
  async ask(actor: string, method: string, target: string, more: object = {}): Promise<Answer> {
    const answer = await this.#place.sessions.get(actor)!.send(method, target, more)
    const text = answer.bytes.toString()
    this.log.push(
      `${actor}: ${method} ${target} ${JSON.stringify(more)} -> ${answer.status} ${text.slice(0, 600)}`,
    )
    return answer
  }

  async renew(namespace: string): Promise<void> {
    const { server, sessions, agent } = this.#place
    sessions.set(namespace, await login(server.url, namespace, keyOf(namespace), agent))
  }
}

export const keyOf = (namespace: string): string => `key of ${namespace}`

/** Throws, with both sides, unless they are equal. */
export const expectEqual = (what: string, found: unknown, wanted: unknown): void => {
  // Through JSON, where a missing field and an undefined one are the same.
  const plain = (value: unknown) => (value === undefined ? undefined : JSON.parse(JSON.stringify(value)))
  if (!isDeepStrictEqual(plain(found), plain(wanted)))
    throw new Error(`${what}:\n  found  ${JSON.stringify(found)}\n  wanted ${JSON.stringify(wanted)}`)
}

/** Compares a reply with a refusal or with success; true when it was a success. */
export const settled = (what: string, answer: Answer, refusal: Refusal): boolean => {
  const found = answer.status === 200 ? undefined : (answer.json?.code ?? answer.status)
  expectEqual(what, found, refusal)
  return answer.status === 200
}

export const at = <T>(list: readonly T[], pick: number): T | undefined =>
  list[pick % Math.max(1, list.length)]
export const nowhere = '00000000-0000-4000-8000-000000000000'

/** A UUID or a name: of an artifact, or of nothing. */
export const refOf = ({ world, names }: Stage, pick: number, by: number): string => {
  if (by % 3 === 0) return at(names, pick)!
  if (by % 17 === 1) return nowhere
  return at(world.artifacts, pick)?.uuid ?? nowhere
}

export const metadataKeys = ['colour', '__proto__', 'ein schlüssel']

/** Sends a request, compares the reply with what the world says, and changes the world. */
export type Do = (stage: Stage, actor: string, step: Step) => Promise<void>

/** Steps on an artifact that are refused alike when it cannot be found. */
export const onArtifact =
  (
    access: 'read' | 'write' | 'change',
    method: string,
    path: (step: Step) => string,
    body: (step: Step) => unknown,
    refuse: (artifact: Artifact, step: Step, stage: Stage) => Refusal,
    effect: (stage: Stage, actor: string, artifact: Artifact, step: Step, answer: Answer) => void,
  ): Do =>
  async (stage, actor, step) => {
    const ref = refOf(stage, step.a, step.b)
    const found = stage.world.find(actor, ref, access)
    const json = body(step)
    const answer = await stage.ask(
      actor,
      method,
      `/artifacts/${encodeURIComponent(ref)}${path(step)}`,
      json === undefined ? {} : { json },
    )
    const refusal = 'refusal' in found ? found.refusal : refuse(found, step, stage)
    if (!settled(`${method} ${path(step)} of ${ref} by ${actor}`, answer, refusal) || 'refusal' in found)
      return
    effect(stage, actor, found, step, answer)
  }

export const no = (): Refusal => undefined
export const nothing = (): undefined => undefined
export const same = (stage: Stage, actor: string, artifact: Artifact, _: Step, answer: Answer): void =>
  expectEqual(
    `view of ${artifact.uuid} for ${actor}`,
    shownArtifact(answer.json),
    viewOf(stage.world, actor, artifact),
  )
