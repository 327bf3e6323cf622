import { setDefaultCACertificates } from 'node:tls'
import { isHoldfastError } from '@holdfast/api/errors'
import { expect, it } from 'vitest'
import { makeAddressGuard } from './address-guard.ts'
import { FetchError } from './fetch-error.ts'
import { type FetchOptions, type FetchRetry, fetchUrl } from './fetch-url.ts'
import { testCertificate } from './test-certificate.ts'
import {
  answer,
  cutAfter,
  cutWhenKept,
  type Handler,
  MemorySink,
  serveFile,
  startRemote,
} from './test-remote.ts'

const file = Buffer.from(Array.from({ length: 100_000 }, (_, i) => (i * 7919) % 251))
const other = Buffer.from(file).reverse()

/** Fetches with short limits, pauses that only get written down, and a guard that knows loopback only. */
async function run(url: string, overrides: Partial<FetchOptions> & { sink?: MemorySink } = {}) {
  const sink = overrides.sink ?? new MemorySink()
  const pauses: number[] = []
  const retries: FetchRetry[] = []
  const outcome = await fetchUrl({
    url,
    guard: makeAddressGuard({ allow: ['127.0.0.1/32'], resolve: async () => ['127.0.0.1'] }),
    maxBytes: 10_000_000,
    maxRedirects: 5,
    attempts: 3,
    firstPauseMs: 1000,
    stallTimeoutMs: 10_000,
    signal: AbortSignal.timeout(15_000),
    onRetry: (retry) => retries.push(retry),
    sleep: async (ms) => void pauses.push(ms),
    ...overrides,
    sink,
  }).then(
    (result) => ({ result, error: undefined }),
    (error: unknown) => ({ result: undefined, error }),
  )
  return { ...outcome, sink, pauses, retries }
}

it('fetches a file in one go', async () => {
  const headers = {
    etag: '"v1"',
    'last-modified': 'Tue, 01 Jul 2025 10:00:00 GMT',
    'content-type': 'image/x',
  }
  await using remote = await startRemote([serveFile(file, headers)])
  const seen: { size: number; total: number | null; ifRange: string | null }[] = []
  const { result, sink } = await run(remote.url, { onProgress: (progress) => seen.push(progress) })
  expect(result).toEqual({
    status: 'fetched',
    size: file.length,
    etag: '"v1"',
    lastModified: 'Tue, 01 Jul 2025 10:00:00 GMT',
    contentType: 'image/x',
  })
  expect(sink.bytes().equals(file)).toBe(true)
  expect(seen.at(-1)).toEqual({ size: file.length, total: file.length, ifRange: '"v1"' })
  expect(remote.requests[0]!.headers).toMatchObject({ 'accept-encoding': 'identity' })
  expect(remote.requests[0]!.headers).not.toHaveProperty('range')
})

it('keeps bytes as they are sent, whatever Content-Encoding says', async () => {
  await using remote = await startRemote([serveFile(file, { 'content-encoding': 'gzip' })])
  expect((await run(remote.url)).sink.bytes().equals(file)).toBe(true)
})

it('fetches an empty file, and one without Content-Length', async () => {
  await using empty = await startRemote([serveFile(Buffer.alloc(0))])
  expect((await run(empty.url)).result).toMatchObject({ status: 'fetched', size: 0, etag: null })
  await using chunked = await startRemote([answer(200, { 'transfer-encoding': 'chunked' }, 'abc')])
  expect((await run(chunked.url)).result).toMatchObject({ status: 'fetched', size: 3 })
})

it('answers "unchanged" for 304 and sends both validators', async () => {
  await using remote = await startRemote([answer(304)])
  const date = 'Tue, 01 Jul 2025 10:00:00 GMT'
  const { result } = await run(remote.url, { ifEtag: 'W/"v1"', ifLastModified: date })
  expect(result).toEqual({ status: 'unchanged' })
  expect(remote.requests[0]!.headers).toMatchObject({ 'if-none-match': 'W/"v1"', 'if-modified-since': date })
})

it('does not take an unasked 304 for an answer', async () => {
  await using remote = await startRemote([answer(304)])
  expect((await run(remote.url)).error).toMatchObject({
    failure: 'remote_status',
    status: 304,
    retryable: false,
  })
})

it.each([
  ['a strong ETag', { etag: '"v1"' }, '"v1"'],
  [
    'an old modification time',
    { 'last-modified': 'Tue, 01 Jul 2025 10:00:00 GMT' },
    'Tue, 01 Jul 2025 10:00:00 GMT',
  ],
])('resumes a cut body by %s', async (_title, headers, ifRange) => {
  await using remote = await startRemote([cutAfter(file, 40_000, headers), serveFile(file, headers)])
  const { result, sink, retries } = await run(remote.url)
  expect(result).toMatchObject({ status: 'fetched', size: file.length })
  expect(sink.bytes().equals(file)).toBe(true)
  expect(sink.resets).toBe(0)
  expect(remote.requests[1]!.headers).toMatchObject({ range: 'bytes=40000-', 'if-range': ifRange })
  expect(retries).toMatchObject([{ attempt: 2, size: 40_000, error: { failure: 'network' } }])
})

it.each([
  ['no validators', {}],
  ['a weak ETag', { etag: 'W/"v1"' }],
  ['a modification time of this very second', { 'last-modified': new Date(Date.now() + 5000).toUTCString() }],
  ['a malformed ETag', { etag: 'v1' }],
])('starts afresh after a cut with %s', async (_title, headers: Record<string, string>) => {
  await using remote = await startRemote([cutAfter(file, 40_000, headers), serveFile(other, headers)])
  const { sink } = await run(remote.url)
  expect(remote.requests[1]!.headers).not.toHaveProperty('range')
  expect(sink.resets).toBe(1)
  expect(sink.bytes().equals(other)).toBe(true)
})

it('fetches the new file when it changed after the cut', async () => {
  await using remote = await startRemote([
    cutAfter(file, 40_000, { etag: '"v1"' }),
    serveFile(other, { etag: '"v2"' }),
  ])
  const { result, sink } = await run(remote.url)
  expect(remote.requests[1]!.headers['if-range']).toBe('"v1"')
  expect(result).toMatchObject({ etag: '"v2"', size: other.length })
  expect(sink.resets).toBe(1)
  expect(sink.bytes().equals(other)).toBe(true)
})

it.each<[string, Handler]>([
  ['another place', answer(206, { 'content-range': 'bytes 0-99999/100000', etag: '"v1"' }, 'x')],
  ['another ETag', answer(206, { 'content-range': 'bytes 40000-99999/100000', etag: '"v2"' }, 'x')],
  ['another length', answer(206, { 'content-range': 'bytes 40000-49999/50000', etag: '"v1"' }, 'x')],
  ['only part of the rest', answer(206, { 'content-range': 'bytes 40000-40001/100000', etag: '"v1"' }, 'xx')],
  ['no Content-Range', answer(206, { etag: '"v1"' }, 'x')],
  ['416', answer(416, { 'content-range': 'bytes */10' })],
])('starts afresh when a remote resumes with %s', async (_title, wrong) => {
  const headers = { etag: '"v1"' }
  await using remote = await startRemote([cutAfter(file, 40_000, headers), wrong, serveFile(file, headers)])
  const { sink } = await run(remote.url)
  expect(remote.requests[2]!.headers).not.toHaveProperty('range')
  expect(sink.bytes().equals(file)).toBe(true)
})

it('goes on with bytes of another process when `ifRange` vouches for them, otherwise starts afresh', async () => {
  await using remote = await startRemote([serveFile(file, { etag: '"v1"' })])
  const sinkWith = (bytes: Uint8Array) => Object.assign(new MemorySink(), { chunks: [bytes] })
  const kept = await run(remote.url, { sink: sinkWith(file.subarray(0, 10)), ifRange: '"v1"' })
  expect(remote.requests[0]!.headers.range).toBe('bytes=10-')
  expect(kept.sink.bytes().equals(file)).toBe(true)
  expect(kept.result).toMatchObject({ etag: '"v1"', size: file.length })
  const unknown = await run(remote.url, { sink: sinkWith(other.subarray(0, 10)) })
  expect(unknown.sink.resets).toBe(1)
  expect(unknown.sink.bytes().equals(file)).toBe(true)
})

it('gives up after as many failures in a row, with growing pauses, keeping the bytes', async () => {
  await using remote = await startRemote([cutAfter(file, 100, { etag: '"v1"' }), answer(500)])
  const { error, pauses, sink } = await run(remote.url, { attempts: 5 })
  expect(error).toMatchObject({ failure: 'remote_status', status: 500 })
  expect(remote.requests).toHaveLength(5)
  expect(pauses).toHaveLength(4)
  pauses.forEach((pause, i) => {
    expect(pause).toBeGreaterThanOrEqual(500 * 2 ** i)
    expect(pause).toBeLessThanOrEqual(1000 * 2 ** i)
  })
  expect(sink.size()).toBe(100)
})

it('does not count attempts that bring the file forward', async () => {
  const large = Buffer.alloc(4 * 1024 * 1024, 'holdfast')
  const headers = { etag: '"v1"' }
  const part: Handler = (request, response) => {
    const first = Number(/\d+/.exec(request.headers.range ?? '0')![0])
    const last = large.length - 1
    response.writeHead(first === 0 ? 200 : 206, {
      ...headers,
      'content-length': String(large.length - first),
      ...(first === 0 ? {} : { 'content-range': `bytes ${first}-${last}/${large.length}` }),
    })
    const piece = large.subarray(first, first + 1024 * 1024)
    response.write(piece)
    cutWhenKept(response, first + piece.length)
  }
  await using remote = await startRemote([part])
  const { sink, error } = await run(remote.url, { attempts: 2 })
  expect(error).toBeUndefined()
  expect(sink.bytes().equals(large)).toBe(true)
})

it('comes to an end with a remote that begins afresh and is cut for ever', async () => {
  const large = Buffer.alloc(2 * 1024 * 1024, 'holdfast')
  await using remote = await startRemote([cutAfter(large, 1024 * 1024, {})])
  const { error, sink } = await run(remote.url, { attempts: 3 })
  expect(error).toMatchObject({ failure: 'network' })
  expect(remote.requests).toHaveLength(3)
  expect(sink.resets).toBe(2)
})

it('honours Retry-After within bounds', async () => {
  const date = { date: 'Tue, 01 Jul 2025 10:00:00 GMT', 'retry-after': 'Tue, 01 Jul 2025 10:01:30 GMT' }
  await using remote = await startRemote([
    answer(503, { 'retry-after': '7' }),
    answer(429, date),
    answer(503, { 'retry-after': '86400' }),
    answer(408, { 'retry-after': 'soon' }),
    serveFile(file),
  ])
  const { sink, pauses } = await run(remote.url, { attempts: 9, firstPauseMs: 10 })
  expect(sink.bytes().equals(file)).toBe(true)
  expect(pauses.slice(0, 3)).toEqual([7000, 90_000, 300_000])
  expect(pauses[3]).toBeLessThanOrEqual(80)
})

it.each([400, 401, 403, 404, 410, 204])(
  'status %i is final, and its message keeps the query secret',
  async (status) => {
    await using remote = await startRemote([answer(status)])
    const { error } = await run(`${remote.url}?token=hunter2#hunter3`)
    expect(error).toBeInstanceOf(FetchError)
    expect(error).toMatchObject({ failure: 'remote_status', status, retryable: false })
    expect((error as Error).message).toBe(`${remote.url}: the remote answered with status ${status}`)
    expect(remote.requests).toHaveLength(1)
    expect(remote.requests[0]!.url).toBe('/image?token=hunter2')
  },
)

it('follows redirects, relative ones too', async () => {
  await using target = await startRemote([serveFile(file)])
  await using remote = await startRemote([
    answer(302, { location: '/other?x=1' }, 'moved'),
    answer(307, { location: target.url }),
  ])
  expect((await run(remote.url)).sink.bytes().equals(file)).toBe(true)
  expect(remote.requests.map(({ url }) => url)).toEqual(['/image', '/other?x=1'])
})

it('refuses a redirect to a forbidden address before connecting', async () => {
  await using hidden = await startRemote([serveFile(file)], { address: '127.0.0.2' })
  await using remote = await startRemote([answer(302, { location: hidden.url })])
  const { error, sink } = await run(remote.url)
  expect(isHoldfastError(error, 'url_forbidden')).toBe(true)
  expect(hidden.requests).toHaveLength(0)
  expect(remote.requests).toHaveLength(1)
  expect(sink.size()).toBe(0)
})

it('refuses a redirect to a name that resolves to a forbidden address', async () => {
  await using hidden = await startRemote([serveFile(file)], { address: '127.0.0.2' })
  await using remote = await startRemote([answer(302, { location: `http://inside.example:${hidden.port}/` })])
  const guard = makeAddressGuard({ allow: ['127.0.0.1'], resolve: async () => ['127.0.0.2'] })
  const { error } = await run(remote.url, { guard })
  expect(isHoldfastError(error, 'url_forbidden')).toBe(true)
  expect(hidden.requests).toHaveLength(0)
})

it('connects to the address it checked, not to a later answer of the name server', async () => {
  await using checked = await startRemote([serveFile(file)])
  let asked = 0
  const resolve = async () => [asked++ === 0 ? '127.0.0.1' : '127.0.0.2']
  const guard = makeAddressGuard({ allow: ['127.0.0.1'], resolve })
  const { sink } = await run(`http://mirror.example:${checked.port}/`, { guard })
  expect(sink.bytes().equals(file)).toBe(true)
  expect(asked).toBe(1)
  expect(checked.requests[0]!.headers.host).toBe(`mirror.example:${checked.port}`)
})

it('checks the name again when it connects again', async () => {
  await using remote = await startRemote([cutAfter(file, 100, { etag: '"v1"' }), serveFile(file)])
  let asked = 0
  const resolve = async () => [asked++ === 0 ? '127.0.0.1' : '127.0.0.2']
  const guard = makeAddressGuard({ allow: ['127.0.0.1'], resolve })
  const { error } = await run(`http://mirror.example:${remote.port}/`, { guard })
  expect(isHoldfastError(error, 'url_forbidden')).toBe(true)
  expect(remote.requests).toHaveLength(1)
})

it.each([
  ['an endless redirect', { location: '/image' }, 6, 'more than 5 redirects'],
  ['a redirect without Location', {}, 1, 'without Location'],
  ['a redirect to nonsense', { location: 'http://[' }, 1, 'invalid URL'],
])('gives up on %s', async (_title, headers: Record<string, string>, requests, message) => {
  await using remote = await startRemote([answer(301, headers)])
  const { error } = await run(remote.url)
  expect(error).toMatchObject({ failure: 'bad_redirect', message: expect.stringContaining(message) })
  expect(remote.requests).toHaveLength(requests)
})

it('refuses a redirect to another scheme or with credentials', async () => {
  await using remote = await startRemote([
    answer(302, { location: 'file:///etc/passwd' }),
    answer(302, { location: 'http://user:hunter2@127.0.0.1/' }),
  ])
  for (let i = 0; i < 2; i++) {
    const { error } = await run(remote.url)
    expect(isHoldfastError(error, 'url_invalid')).toBe(true)
    expect((error as Error).message).not.toContain('hunter2')
  }
})

it('fetches over TLS by name, and follows from https to http only when told to', async () => {
  setDefaultCACertificates([testCertificate])
  await using plain = await startRemote([serveFile(file)])
  await using secure = await startRemote([answer(302, { location: plain.url })], { tls: true })
  const url = `https://mirror.example:${secure.port}/`
  expect((await run(url)).error).toMatchObject({ failure: 'bad_redirect' })
  expect(plain.requests).toHaveLength(0)
  expect((await run(url, { allowDowngrade: true })).sink.bytes().equals(file)).toBe(true)
  const { error } = await run(`https://other.example:${secure.port}/`, { attempts: 1 })
  expect(error).toMatchObject({ failure: 'network', message: expect.stringContaining('ALTNAME') })
})

it('refuses too large a file by its Content-Length, before any byte', async () => {
  await using remote = await startRemote([serveFile(file)])
  const { error, sink } = await run(remote.url, { maxBytes: file.length - 1 })
  expect(isHoldfastError(error, 'file_too_large')).toBe(true)
  expect(error).toMatchObject({ detail: { limit: file.length - 1, size: file.length } })
  expect(sink.size()).toBe(0)
  expect((await run(remote.url, { maxBytes: file.length })).sink.size()).toBe(file.length)
})

it('refuses too large a file without Content-Length while it streams', async () => {
  const endless: Handler = (_request, response) => {
    const more = () => {
      while (!response.destroyed && response.write(file));
    }
    response.on('drain', more)
    more()
  }
  await using remote = await startRemote([endless])
  const { error, sink } = await run(remote.url, { maxBytes: 250_000 })
  expect(isHoldfastError(error, 'file_too_large')).toBe(true)
  expect(sink.size()).toBeLessThanOrEqual(250_000)
  expect(remote.requests).toHaveLength(1)
})

it('takes a silent remote for failed: before the headers and within the body', async () => {
  await using remote = await startRemote([
    () => {},
    (_request, response) => {
      response.writeHead(200, { 'content-length': String(file.length), etag: '"v1"' })
      response.write(file.subarray(0, 500))
    },
    serveFile(file, { etag: '"v1"' }),
  ])
  const { sink, retries } = await run(remote.url, { stallTimeoutMs: 700 })
  expect(sink.bytes().equals(file)).toBe(true)
  expect(retries).toMatchObject([
    { error: { failure: 'stalled' }, size: 0 },
    { error: { failure: 'stalled' }, size: 500 },
  ])
})

it('does not take a slow sink for a silent remote', async () => {
  await using remote = await startRemote([serveFile(file)])
  async function* delayed(chunks: AsyncIterable<Uint8Array>) {
    let isFirst = true
    for await (const chunk of chunks) {
      if (isFirst) await new Promise((resolve) => setTimeout(resolve, 1200))
      isFirst = false
      yield chunk
    }
  }
  class SlowSink extends MemorySink {
    override append(chunks: AsyncIterable<Uint8Array>): Promise<number> {
      return super.append(delayed(chunks))
    }
  }
  const { error } = await run(remote.url, { sink: new SlowSink(), stallTimeoutMs: 1000, attempts: 1 })
  expect(error).toBeUndefined()
})

it('ends at the total time limit, for good', async () => {
  await using remote = await startRemote([() => {}])
  const { error } = await run(remote.url, { totalTimeoutMs: 200 })
  expect(error).toMatchObject({ failure: 'timed_out', retryable: false })
})

it("ends with the signal's reason: while waiting for the remote, in a pause, and before the start", async () => {
  const reason = new Error('the server is stopping')
  const waiting = new AbortController()
  await using remote = await startRemote([() => waiting.abort(reason)])
  expect((await run(remote.url, { signal: waiting.signal })).error).toBe(reason)

  const pausing = new AbortController()
  await using busy = await startRemote([answer(503)])
  const ended = fetchUrl({
    url: busy.url,
    guard: makeAddressGuard({ allow: ['127.0.0.1'] }),
    sink: new MemorySink(),
    maxBytes: 1,
    maxRedirects: 0,
    attempts: 3,
    firstPauseMs: 60_000,
    stallTimeoutMs: 10_000,
    signal: pausing.signal,
    onRetry: () => setImmediate(() => pausing.abort(reason)),
  })
  await expect(ended).rejects.toBe(reason)
  expect(busy.requests).toHaveLength(1)

  expect((await run(busy.url, { signal: AbortSignal.abort(reason) })).error).toBe(reason)
  expect(busy.requests).toHaveLength(1)
})

it('passes on what the sink throws, at once', async () => {
  await using remote = await startRemote([serveFile(file, { etag: '"v1"' })])
  const full = new Error('no space')
  class FullSink extends MemorySink {
    override async append(chunks: AsyncIterable<Uint8Array>): Promise<number> {
      for await (const _chunk of chunks) throw full
      return 0
    }
  }
  const { error } = await run(remote.url, { sink: new FullSink() })
  expect(error).toBe(full)
  expect(remote.requests).toHaveLength(1)
})

it('resumes when the sink answers what it kept instead of throwing', async () => {
  const headers = { etag: '"v1"' }
  await using remote = await startRemote([cutAfter(file, 40_000, headers), serveFile(file, headers)])
  class CalmSink extends MemorySink {
    override async append(chunks: AsyncIterable<Uint8Array>): Promise<number> {
      return await super.append(chunks).catch(() => this.size())
    }
  }
  const { sink } = await run(remote.url, { sink: new CalmSink() })
  expect(sink.bytes().equals(file)).toBe(true)
  expect(remote.requests[1]!.headers.range).toBe('bytes=40000-')
})

it('does not accept less than the sink was given', async () => {
  await using remote = await startRemote([serveFile(file)])
  class LosingSink extends MemorySink {
    override async append(chunks: AsyncIterable<Uint8Array>): Promise<number> {
      return (await super.append(chunks)) - 1
    }
  }
  const { error } = await run(remote.url, { sink: new LosingSink() })
  expect((error as Error).message).toBe('the sink did not take all bytes of the stream')
})

it('retries a refused connection, and tells no address behind a name', async () => {
  const remote = await startRemote([serveFile(file)])
  await remote[Symbol.asyncDispose]()
  const { error, retries } = await run(`http://mirror.example:${remote.port}/image?token=hunter2`)
  expect(retries).toHaveLength(2)
  expect((error as Error).message).toBe(`http://mirror.example:${remote.port}/image: connection refused`)
})
