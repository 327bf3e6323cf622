/** Calls the load generator (`load.py`), a process of its own: requests over sockets, or a whole command. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

const program = fileURLToPath(new URL('./load.py', import.meta.url))
/** Nothing that is measured takes so long unless it hangs. */
const timeoutMs = 30 * 60_000

/** One request; `load.py` says what its fields mean. */
export interface LoadRequest {
  readonly method: string
  readonly target: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?:
    | { readonly path: string; readonly offset: number; readonly length: number }
    | { readonly text: string }
  readonly expect?: readonly number[]
  readonly save?: Readonly<Record<string, string>>
  readonly digest?: true
  readonly discard?: true
}

export interface RequestResult {
  readonly seconds: number
  /** Seconds until the head of the reply was there. */
  readonly firstByte: number
  readonly bytes: number
  readonly sha512?: string
  /** What was saved, by name. */
  readonly [name: string]: unknown
}

export interface LoadResult {
  /** From the start of all clients to the end of the last. */
  readonly seconds: number
  readonly clients: readonly { readonly requests: readonly RequestResult[] }[]
}

export interface CommandResult {
  readonly seconds: number
  readonly cpuSeconds: number
  readonly peakRss: number
  readonly output: string
}

/** Sends each client's requests in order, all clients at once. Rejects when a reply is not what was expected. */
export const sendLoad = (port: number, clients: readonly (readonly LoadRequest[])[]): Promise<LoadResult> =>
  generate({ port, clients })

/** Runs a command to its end and tells what it took. Rejects when it fails. */
export const runCommand = (...command: readonly string[]): Promise<CommandResult> => generate({ command })

const generate = async <T>(spec: unknown): Promise<T> => {
  const child = spawn('python3', [program], { stdio: ['pipe', 'pipe', 'inherit'] })
  const timer = setTimeout(() => child.kill(), timeoutMs)
  let output = ''
  child.stdout.setEncoding('utf8').on('data', (part: string) => (output += part))
  child.stdin.end(JSON.stringify(spec))
  const [code] = (await once(child, 'close')) as [number | null]
  clearTimeout(timer)
  if (code !== 0) throw new Error('the load generator failed')
  return JSON.parse(output) as T
}
