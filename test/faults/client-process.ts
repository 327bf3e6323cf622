/**
 * A client in a process of its own, for suites that kill it or look at its memory: `node client-process.ts JSON`. Prints
 * one line of JSON, what came of it, and exits with 0; a failure is printed as JSON too, with exit code 3.
 */
import { readFileSync } from 'node:fs'
import { createClient, fileDigestMemory, fileStateStore, type RetryOptions } from '@holdfast/client/node'

/** One transfer. */
export interface ClientJob {
  readonly url: string
  readonly key: string
  /** Directory of the records of unfinished uploads. */
  readonly state: string
  readonly stallMs?: number
  readonly timeoutMs?: number
  readonly retry?: RetryOptions
  readonly upload?: { readonly source: string; readonly name: string }
  readonly download?: { readonly artifact: string; readonly to: string; readonly connections: number }
}

/** What is printed at the end. */
export interface ClientNews {
  readonly resumed: number
  /** Body bytes that went out, or content that came in. */
  readonly moved: number
  readonly hit?: boolean
  readonly verified?: boolean
  readonly peakMiB: number
}

/** Most memory that was ever resident (Linux). */
const peakMiB = (): number =>
  Number(/^VmHWM:\s+(\d+) kB/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1]) / 1024

const run = async ({ upload, download, state, ...options }: ClientJob): Promise<ClientNews> => {
  await using client = createClient({
    ...options,
    namespace: 'system',
    stateStore: fileStateStore(state),
    digestMemory: fileDigestMemory(state),
  })
  if (upload) {
    const { resumed, sent, hit } = await client.upload(upload)
    return { resumed, moved: sent, hit, peakMiB: peakMiB() }
  }
  const { resumed, received, verified } = await client.download(download!)
  return { resumed, moved: received, verified, peakMiB: peakMiB() }
}

if (import.meta.main) {
  try {
    const news = await run(JSON.parse(process.argv[2]!) as ClientJob)
    process.stdout.write(`${JSON.stringify(news)}\n`)
  } catch (error) {
    const { name, message, code } = error as Error & { code?: string }
    process.stdout.write(`${JSON.stringify({ name, message, code })}\n`)
    process.exitCode = 3
  }
}
