import { createHash } from 'node:crypto'
import { truncate } from 'node:fs/promises'
import { Agent as HttpAgent } from 'node:http'
import { Agent } from 'node:https'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Answer, createNamespace, login, publish, type Session, send } from '../support/api.ts'
import { type Behind, startBehind } from './behind.ts'

/** Downloads that nginx sends by itself (HOLDFAST_ACCEL_REDIRECT), beside the same ones that Holdfast sends. */

let behind: Behind
let agent: Agent
/** The same namespace, through nginx and past it. */
let through: Session
let past: Session
let blob: string
let etag: string
const bytes = Buffer.from(Array.from({ length: 300_000 }, (_, at) => (at * 7919) % 251))
const name = 'grün "50%" ; a.img'

beforeAll(async () => {
  behind = await startBehind()
  agent = new Agent({ ca: behind.ca, keepAlive: true })
  through = await login(behind.nginx, 'system', behind.server.systemKey, agent)
  past = await login(behind.server.url, 'system', behind.server.systemKey)
  blob = (await publish(past, name, bytes)).blob_uuid
  etag = `"${sha512(bytes)}"`
}, 60_000)
afterAll(async () => {
  agent?.destroy()
  await behind?.remove()
})

const sha512 = (data: Buffer) => createHash('sha512').update(data).digest('hex')

/** How many downloads have been left to nginx. */
const offloaded = async (): Promise<number> => {
  const { bytes: text } = await send(behind.server.url, 'GET', '/metrics')
  return Number(/^holdfast_offloaded_downloads_total (\d+)/m.exec(text.toString())![1])
}

/** What two ways of sending have to have in common: all but what belongs to the connection and the request. */
const essence = ({ status, headers, bytes: body, json }: Answer) => {
  const {
    date,
    connection,
    'keep-alive': _,
    server,
    'x-request-id': id,
    'transfer-encoding': __,
    ...kept
  } = headers
  const { request_id, ...refusal } = json ?? {}
  return {
    status,
    headers: { ...kept, hasId: id !== undefined },
    body: json ? refusal : sha512(body),
  }
}

const both = async (target: string, headers: Record<string, string> = {}, method = 'GET') => {
  const before = await offloaded()
  const direct = await past.send(method, target, { headers })
  const answer = await through.send(method, target, { headers })
  return { direct, answer, byNginx: (await offloaded()) - before }
}

test.each<[string, string, Record<string, string>, number]>([
  ['whole', '', {}, 200],
  ['whole, from offset 0', '?offset=0&limit=0', {}, 200],
  ['whole, with a limit beyond the end', '?limit=400000', {}, 200],
  ['a range', '', { Range: 'bytes=1000-4999' }, 206],
  ['a range to the end', '', { Range: 'bytes=299999-' }, 206],
  ['a range beyond the end', '', { Range: 'bytes=299000-999999' }, 206],
  ['the last bytes', '', { Range: 'bytes=-500' }, 206],
  ['a range of what is still the same', '', { Range: 'bytes=5-9', 'If-Range': 'ETAG' }, 206],
  ['what one has no copy of', '', { 'If-None-Match': '"other"' }, 200],
])('%s is sent by nginx, and is what Holdfast would send', async (_what, query, headers, status) => {
  const filled = Object.fromEntries(
    Object.entries(headers).map(([key, value]) => [key, value.replace('ETAG', etag)]),
  )
  const { direct, answer, byNginx } = await both(`/blobs/${blob}/data${query}`, filled)
  expect([answer.status, byNginx]).toEqual([status, 1])
  expect(answer.headers.etag).toBe(etag)
  expect(essence(answer)).toEqual(essence(direct))
})

test.each<[string, string, Record<string, string>, number, string?]>([
  ['a part by offset', '?offset=1000', {}, 200],
  ['a part by limit', '?limit=1000', {}, 200],
  ['nothing at the end', '?offset=300000', {}, 200],
  ['a range beside an offset', '?offset=1000', { Range: 'bytes=0-9' }, 200],
  ['a range beside a limit', '?limit=400000', { Range: 'bytes=0-9' }, 200],
  ['a range past the end', '', { Range: 'bytes=300000-' }, 416],
  ['several ranges', '', { Range: 'bytes=0-1,5-6' }, 200],
  ['a range that is none', '', { Range: 'bytes=9-5' }, 200],
  ['a range of enormous numbers', '', { Range: 'bytes=0-99999999999999999999999' }, 206],
  ['a range of what has changed', '', { Range: 'bytes=5-9', 'If-Range': '"other"' }, 200],
  ['a range by date', '', { Range: 'bytes=5-9', 'If-Range': 'Fri, 01 Jan 2100 00:00:00 GMT' }, 200],
  ['what one has already', '', { 'If-None-Match': 'ETAG' }, 304],
  ['a date that Holdfast overlooks', '', { 'If-Modified-Since': 'Fri, 01 Jan 2100 00:00:00 GMT' }, 200],
  ['an If-Match that Holdfast overlooks', '', { 'If-Match': '"other"' }, 200],
  ['the headers alone', '', {}, 200, 'HEAD'],
])('%s is sent by Holdfast', async (_what, query, headers, status, method = 'GET') => {
  const filled = Object.fromEntries(
    Object.entries(headers).map(([key, value]) => [key, value.replace('ETAG', etag)]),
  )
  const { direct, answer, byNginx } = await both(`/blobs/${blob}/data${query}`, filled, method)
  expect([answer.status, byNginx]).toEqual([status, 0])
  expect(essence(answer)).toEqual(essence(direct))
})

test('only a trusted proxy is answered so', async () => {
  const untrusted = new HttpAgent({ localAddress: '127.0.0.9' })
  const session = await login(behind.server.url, 'system', behind.server.systemKey, untrusted)
  const headers = { 'X-Forwarded-For': '127.0.0.1, 192.0.2.1' }
  const answer = await session.send('GET', `/blobs/${blob}/data`, { headers })
  expect(answer.headers['x-accel-redirect']).toBeUndefined()
  expect(answer.bytes.equals(bytes)).toBe(true)
})

test('the location is closed to clients, and what is not theirs stays hidden', async () => {
  const outside = new URL(behind.nginx).origin
  const inside = await send(outside, 'GET', `/holdfast-blobs/${blob.slice(0, 2)}/${blob}`, {
    agent,
    unchecked: true,
  })
  expect(inside.status).toBe(404)
  const stranger = await createNamespace(behind.server.url, past)
  const answer = await send(behind.nginx, 'GET', `/blobs/${blob}/data`, { token: stranger.token, agent })
  expect([answer.status, answer.json.code]).toEqual([404, 'blob_not_found'])
})

test('what nginx cannot read is sent by Holdfast', async () => {
  const session = await login(behind.blind, 'system', behind.server.systemKey)
  const before = await offloaded()
  const answer = await session.send('GET', `/blobs/${blob}/data`, { headers: { 'X-Request-ID': 'not-read' } })
  expect([answer.status, answer.headers.etag, answer.headers['x-request-id']]).toEqual([
    200,
    etag,
    'not-read',
  ])
  expect(answer.bytes.equals(bytes)).toBe(true)
  expect(await offloaded()).toBe(before + 1)
  const part = await session.send('GET', `/blobs/${blob}/data`, { headers: { Range: 'bytes=10-19' } })
  expect([part.status, part.bytes]).toEqual([206, bytes.subarray(10, 20)])
})

test('an empty blob, a file that is too short and a blob in quarantine are left to nobody', async () => {
  const { blob_uuid } = await publish(past, 'damaged', Buffer.alloc(100_000, 5))
  await truncate(join(behind.server.dataDir, 'blobs', blob_uuid.slice(0, 2), blob_uuid), 50_000)
  for (let time = 0; time < 2; time++) {
    const { answer, byNginx } = await both(`/blobs/${blob_uuid}/data`)
    expect([answer.status, answer.json.code, byNginx]).toEqual([503, 'blob_damaged', 0])
  }
})
