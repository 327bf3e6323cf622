import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { FailFlushes } from '../../../../test/support/failing-flush.ts'
import { startTestServer, type TestServer } from '../test-server.ts'

describe('a flush that fails on the server', () => {
  let server: TestServer
  beforeAll(async () => {
    server = await startTestServer({}, new URL('../../../../test/support/failing-flush.ts', import.meta.url))
  })
  afterAll(() => server.remove())

  it('makes the client send again what the disk has lost', async () => {
    const { path, bytes } = await server.file('flushed', 3 * 1024 * 1024)
    server.process.send({ failFlushes: 1 } satisfies FailFlushes)
    await once(server.process, 'message')
    const result = await server.client().upload({ source: path, name: 'flushed' })
    expect(result).toMatchObject({ version: 1, size: bytes.length })
    expect(result.sent).toBeGreaterThan(bytes.length)
    const stored = await server.client().blobs.show(result.blobUuid)
    expect(stored.sha512).toBe(createHash('sha512').update(bytes).digest('hex'))
  })
})
