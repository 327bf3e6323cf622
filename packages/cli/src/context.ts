/** What a command gets: the options that all share, a client made when first needed, and places to print to. */
import { join } from 'node:path'
import type { NodeClient, UserConfig } from '@holdfast/client/node'
import { UsageError, UserError } from './failures.ts'
import { type Host, homeOf } from './host.ts'
import { interrupted } from './interrupt.ts'
import type { Shape } from './output/shape.ts'
import { createDisplay, type Display } from './progress/display.ts'
import { readSecret } from './read-secret.ts'
import { version } from './version.ts'

/** The options of the program itself. */
export interface GlobalOptions {
  readonly output?: Shape
  readonly apiurl?: string
  readonly namespace?: string
  readonly key?: string
  readonly config?: string
  readonly patience: number
  readonly quiet?: boolean
  readonly verbose?: boolean
}

const systemConfigFile = '/etc/sf/shakenfist.json'

export class Context implements AsyncDisposable {
  readonly shape: Shape
  readonly options: GlobalOptions
  readonly host: Host
  readonly signal = interrupted
  #config: Promise<UserConfig> | undefined
  #client: Promise<NodeClient> | undefined
  #display: Display | undefined

  constructor(options: GlobalOptions, host: Host) {
    this.options = options
    this.host = host
    this.shape = options.output ?? 'pretty'
  }

  /** Results: standard output. */
  print(text: string): void {
    this.#display?.pause()
    this.host.stdout.write(`${text}\n`)
  }

  /** Everything else: standard error. */
  note(text: string): void {
    if (this.options.quiet) return
    if (this.#display) this.#display.note(text)
    else this.host.stderr.write(`${text}\n`)
  }

  /** Progress of transfers, on standard error. */
  async display(): Promise<Display> {
    this.#display ??= await createDisplay(this.host, this.options.quiet === true)
    return this.#display
  }

  /** A key from standard input, or from the person at the terminal. */
  secret(prompt: string): Promise<string> {
    return readSecret(this.host, prompt)
  }

  /** Whether standard input is taken by `--key -`. */
  get keyIsOnStdin(): boolean {
    return this.options.key === '-'
  }

  /** Server, namespace and key. */
  config(): Promise<UserConfig> {
    this.#config ??= this.#loadConfig()
    return this.#config
  }

  /** The client, made when first needed: help and mistakes need none. */
  client(): Promise<NodeClient> {
    this.#client ??= this.config().then((config) => this.connect(config))
    return this.#client
  }

  /** A client for these very settings. */
  async connect({ url, namespace, key }: Omit<UserConfig, 'source'>): Promise<NodeClient> {
    if (!/^https?:\/\//i.test(url) || !URL.canParse(url)) {
      throw new UserError(`the server's URL must begin with http:// or https://, and ${url} does not`)
    }
    // Help and mistakes need none of this, so that it is loaded here
    const { createClient, defaultStateDirectory, fileDigestMemory, fileStateStore } = await import(
      '@holdfast/client/node'
    )
    const state = defaultStateDirectory(this.host.environment)
    const { patience } = this.options
    return createClient({
      url,
      ...(namespace === undefined ? {} : { namespace }),
      ...(key === undefined ? {} : { key }),
      signal: this.signal,
      stateStore: fileStateStore(state),
      digestMemory: fileDigestMemory(state),
      userAgent: `holdfast/${version}`,
      // Without patience, a server that does not answer at once is not asked again
      retry: patience === 0 ? { attempts: 1, patienceMs: 0 } : { patienceMs: patience * 1000 },
      onRetry: ({ error, delayMs, what }) => {
        const seconds = Math.max(1, Math.round(delayMs / 1000))
        this.note(`${error.message}; trying again in ${seconds} s${this.options.verbose ? ` (${what})` : ''}`)
      },
    })
  }

  async #loadConfig(): Promise<UserConfig> {
    const { apiurl, namespace, config } = this.options
    if (config !== undefined && apiurl !== undefined) {
      throw new UsageError(
        'use --config or --apiurl, not both',
        'The file names the server that its key is for.',
      )
    }
    const key = this.keyIsOnStdin ? await this.secret('Key: ') : this.options.key
    const given = { url: apiurl, namespace, key }
    // A file that was named on the command line counts before the environment, and alone
    const { loadConfig } = await import('@holdfast/client/node')
    if (config !== undefined) return await loadConfig(given, {}, [config])
    const files = [join(homeOf(this.host), '.shakenfist'), systemConfigFile]
    return await loadConfig(given, this.host.environment, files)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#display?.stop()
    const client = await this.#client?.catch(() => undefined)
    client?.close()
  }
}
