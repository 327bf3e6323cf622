/** A client in a process of its own, to be killed by tests: `node test-process.ts JSON`. */
import { createClient, fileStateStore } from './node/index.ts'
import { quickRetry } from './test-retry.ts'

interface Job {
  readonly url: string
  readonly key: string
  readonly state: string
  readonly upload?: { readonly source: string; readonly name: string }
  readonly download?: { readonly artifact: string; readonly to: string }
}

const { url, key, state, upload, download } = JSON.parse(process.argv[2]!) as Job
await using client = createClient({
  url,
  key,
  namespace: 'system',
  retry: quickRetry,
  stallMs: 500,
  stateStore: fileStateStore(state),
})
if (upload) {
  const { version, resumed, sent } = await client.upload(upload)
  process.stdout.write(`${JSON.stringify({ version, resumed, sent })}\n`)
}
if (download) {
  const { verified, resumed, received } = await client.download(download)
  process.stdout.write(`${JSON.stringify({ verified, resumed, received })}\n`)
}
