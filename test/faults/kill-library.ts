/**
 * A user of the client library in the kill suite. Unlike the other clients it knows nothing of kills: it uploads one
 * file after the other and leaves it to the library to go on when the server is back. What the library has reported
 * as stored has to be there, byte for byte, for as long as it is kept.
 */
import { createClient, type NodeClient } from '@holdfast/client/node'
import type { Session } from '../support/api.ts'
import { bytesOf, type Random, type Report, sha512, within, wordsOf } from './harness.ts'

interface Stored {
  readonly name: string
  readonly uuid: string
  readonly blobUuid: string
  readonly content: Buffer
}

const MiB = 1024 * 1024
const smallest = 100_000
const kept = 4
/** Far beyond the longest time without a server. */
const patienceMs = 60_000

export class LibraryClient {
  readonly #label: string
  readonly #largest: number
  readonly #random: Random
  readonly #report: Report
  readonly #session: Session
  readonly #client: NodeClient
  readonly #stored: Stored[] = []
  #isOver = false
  #made = 0
  #work: Promise<void> | undefined

  constructor(
    label: string,
    url: string,
    session: Session,
    random: Random,
    report: Report,
    largest = 12 * MiB,
    patience: 'endless' | 'usual' = 'endless',
  ) {
    this.#label = label
    this.#largest = largest
    this.#random = random
    this.#report = report
    this.#session = session
    this.#client = createClient({
      url,
      namespace: session.namespace,
      token: session.token,
      ...(patience === 'endless' && { retry: { attempts: 1000, baseMs: 20, maxMs: 200, patienceMs } }),
      stateStore: null,
      onRetry: () => report.count('failures the library mended'),
    })
  }

  start(): void {
    this.#work = this.#run()
  }

  /** Ends the work, with a server that stays; then looks at everything once more. */
  async end(): Promise<void> {
    await this.stop()
    for (const stored of this.#stored) await this.#check(stored)
    this.#client.close()
  }

  /** Ends the work when it can: at the latest when its patience is over. */
  async stop(): Promise<void> {
    this.#isOver = true
    await this.#work
  }

  async #run(): Promise<void> {
    try {
      while (!this.#isOver) await within(2 * patienceMs, `${this.#label}: one file`, this.#storeOne())
    } catch (error) {
      this.#report.fail(`${this.#label}: ${wordsOf(error)}`)
    }
  }

  async #storeOne(): Promise<void> {
    this.#made += 1
    const name = `${this.#label} ${this.#made}`
    const content = bytesOf(name, this.#random.between(smallest, this.#largest))
    const source = new Blob([content as Buffer<ArrayBuffer>])
    const result = await this.#client.upload({ name, source, lookup: this.#random.chance(0.5) })
    this.#report.check(
      result.size === content.length && result.version === 1,
      () => `${name}: ${content.length} bytes became ${JSON.stringify(result)}`,
    )
    this.#report.count('files stored by the library')
    this.#stored.push({ name, uuid: result.artifact.uuid, blobUuid: result.blobUuid, content })
    await this.#check(this.#random.pick(this.#stored))
    if (this.#stored.length <= kept) return
    const [oldest] = this.#stored.splice(0, 1)
    await this.#client.call('deleteArtifact', { params: { artifact_ref: oldest!.uuid } })
  }

  async #check({ name, blobUuid, content }: Stored): Promise<void> {
    const { content: found } = await this.#client.download({ artifact: name, to: 'blob' })
    const bytes = Buffer.from(await found!.arrayBuffer())
    this.#report.check(
      sha512(bytes) === sha512(content),
      () => `${this.#session.namespace}: "${name}" (blob ${blobUuid}) is lost or altered`,
    )
    this.#report.count('files downloaded by the library')
  }
}
