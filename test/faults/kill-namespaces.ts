/**
 * A client of the kill suite that makes namespaces, stores something in them and deletes them with all they have.
 */
import { login, type Session } from '../support/api.ts'
import { bytesOf, isConnectionError, patiently, type Random, type Report, sha512, within } from './harness.ts'

interface Life {
  readonly name: string
  readonly key: string
  state: 'unknown' | 'created' | 'deleted'
  artifact?: { readonly uuid: string; readonly blobUuid: string; readonly sha512: string }
}

/** Several requests, each of which may meet a node that is frozen for a while. */
const lifeTimeoutMs = 120_000

export class NamespaceClient {
  readonly label = 'namespaces'
  readonly #base: string
  readonly #system: Session
  readonly #random: Random
  readonly #report: Report
  readonly #lives: Life[] = []
  /** HOLDFAST_UPLOAD_EXPIRY in ms. */
  readonly #uploadExpiryMs: number
  #unsettled: Life | undefined
  #made = 0

  constructor(base: string, system: Session, random: Random, report: Report, uploadExpiryMs: number) {
    this.#uploadExpiryMs = uploadExpiryMs
    this.#base = base
    this.#system = system
    this.#random = random
    this.#report = report
  }

  get isSettled(): boolean {
    return this.#unsettled === undefined
  }

  async work(stopped: () => boolean): Promise<void> {
    try {
      while (!stopped()) await within(lifeTimeoutMs, 'the life of a namespace', this.#step())
    } catch (error) {
      if (!isConnectionError(error)) throw error
    }
  }

  /** A namespace whose creation or deletion had no reply is deleted: again, or at last. */
  async settle(): Promise<void> {
    const life = this.#unsettled
    if (!life) return
    const { status, bytes } = await this.#system.delete(`/auth/namespaces/${life.name}`)
    this.#report.check(
      status === 200 || status === 404,
      () => `delete namespace ${life.name} again: ${bytes}`,
    )
    life.state = 'deleted'
    this.#unsettled = undefined
  }

  async #step(): Promise<void> {
    const lives = this.#lives.filter((life) => life.state === 'created')
    if (lives.length > 3 || (lives.length > 0 && this.#random.chance(0.4)))
      await this.#delete(this.#random.pick(lives))
    else await this.#create()
  }

  async #create(): Promise<void> {
    this.#made += 1
    const name = `brief-${this.#made}`
    const life: Life = { name, key: `key of ${name}`, state: 'unknown' }
    this.#lives.push(life)
    this.#unsettled = life
    const made = await this.#system.post('/auth/namespaces', {
      namespace: name,
      key_name: 'first',
      key: life.key,
    })
    this.#report.check(made.status === 200, () => `create namespace ${name}: ${made.bytes}`)
    life.state = 'created'
    this.#unsettled = undefined
    this.#report.count('namespaces created')
    const session = await login(this.#base, name, life.key)
    const content = bytesOf(name, this.#random.between(1, 50_000))
    const beganAt = Date.now()
    const upload = await session.post('/upload')
    await session.send('POST', `/upload/${upload.json.uuid}`, { body: content })
    const { status, json } = await session.post('/artifacts/upload/only', { upload_uuid: upload.json.uuid })
    const mayHaveExpired = Date.now() >= beganAt + this.#uploadExpiryMs
    if (status === 404 && mayHaveExpired) return
    if (this.#report.check(status === 200, () => `convert in ${name}: ${status}`))
      life.artifact = { uuid: json.uuid, blobUuid: json.blob_uuid, sha512: sha512(content) }
  }

  async #delete(life: Life): Promise<void> {
    this.#unsettled = life
    const { status, bytes } = await this.#system.delete(`/auth/namespaces/${life.name}`)
    this.#report.check(status === 200, () => `delete namespace ${life.name}: ${bytes}`)
    life.state = 'deleted'
    this.#unsettled = undefined
    this.#report.count('namespaces deleted')
  }

  /** Live ones have their key, their artifact and its bytes; deleted ones are gone with theirs. */
  async check(): Promise<void> {
    const get = (target: string) => patiently(() => this.#system.get(target))
    for (const life of this.#lives.slice(-30)) {
      const { status } = await get(`/auth/namespaces/${life.name}`)
      const isLive = life.state === 'created'
      this.#report.check(
        status === (isLive ? 200 : 404),
        () => `namespace ${life.name} is ${life.state} and answers ${status}`,
      )
      if (isLive) await patiently(() => login(this.#base, life.name, life.key))
      if (!life.artifact) continue
      const { json } = await get(`/artifacts/${life.artifact.uuid}`)
      this.#report.check(
        json.state === life.state,
        () => `the artifact of the ${life.state} namespace ${life.name} is ${json.state}`,
      )
      if (!isLive) continue
      const { bytes } = await get(`/blobs/${life.artifact.blobUuid}/data`)
      this.#report.check(sha512(bytes) === life.artifact.sha512, () => `the blob of ${life.name} is altered`)
    }
  }
}
