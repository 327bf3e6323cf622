import { once } from 'node:events'
import { connect } from 'node:net'
import { HoldfastError } from '@holdfast/api/errors'
import { Gauge, Registry } from 'prom-client'
import { expect, test } from 'vitest'
import { exchange, startHttp } from './http-fixture.ts'
import { RequestsInFlight } from './in-flight.ts'

const make = (maxRequests: number, namespaceMaxRequests: number) => {
  const gauge = new Gauge({ name: 'in_flight', help: 'for this test', registers: [new Registry()] })
  return { gauge, inFlight: new RequestsInFlight({ maxRequests, namespaceMaxRequests }, gauge) }
}
const outcome = (work: () => unknown) => {
  try {
    work()
    return 'none'
  } catch (error) {
    return error instanceof HoldfastError ? error.detail : error
  }
}

test('a namespace has its share, all of them together have no more than there is', async () => {
  const { inFlight, gauge } = make(3, 2)
  const leave = inFlight.enter('a')
  inFlight.enter('a')
  const full = { scope: 'namespace', limit: 2, retry_after: 1 }
  expect(outcome(() => inFlight.enter('a'))).toEqual(full)
  inFlight.enter('b')
  expect(outcome(() => inFlight.enter('c'))).toEqual({ scope: 'server', limit: 3, retry_after: 1 })
  expect((await gauge.get()).values[0]!.value).toBe(3)
  leave()
  expect(outcome(() => inFlight.enter('a'))).toBe('none')
})

test('0 is no limit', () => {
  const { inFlight } = make(0, 0)
  for (let count = 0; count < 5000; count++) inFlight.enter('a')
})

const head = (...lines: string[]) =>
  `${['POST /auth/namespaces/one/keys HTTP/1.1', 'Host: x', 'Authorization: Bearer good', ...lines].join('\r\n')}\r\n\r\n`

test('a request counts until its client has the reply or has left, and a refusal comes before the body', async () => {
  const http = await startHttp({ settings: { namespaceMaxRequests: 2 } })
  try {
    const hanging = [1, 2].map(() => connect(http.port, '127.0.0.1'))
    for (const socket of hanging) {
      await once(socket, 'connect')
      socket.write(`${head('Content-Length: 2')}{`)
    }
    const ask = () =>
      exchange(http.port, head('Content-Length: 2', 'Expect: 100-continue'), /request_id|100 Cont/)
    await expect.poll(ask, { timeout: 10_000 }).toMatch(/^HTTP\/1.1 429/)
    const refusal = await ask()
    expect(refusal.toLowerCase()).toContain('retry-after: 1\r\n')
    expect(refusal).toContain('"detail":{"scope":"namespace","limit":2,"retry_after":1}')
    // Health is told however much there is to do, and those without a token are another crowd.
    expect((await fetch(`${http.url}/healthz`)).status).toBe(200)
    hanging[0]!.destroy()
    await expect.poll(ask, { timeout: 10_000 }).toMatch(/^HTTP\/1.1 100/)
    hanging[1]!.destroy()
  } finally {
    await http.close()
  }
})

test('a JSON body that comes byte by byte is given up in time', async () => {
  const http = await startHttp({ settings: { requestTimeout: 0.2 } })
  const socket = connect(http.port, '127.0.0.1').setEncoding('utf8')
  socket.write(head('Content-Length: 1000'))
  const drip = setInterval(() => socket.write(' '), 20)
  try {
    const [reply] = (await once(socket, 'data')) as [string]
    expect(reply).toMatch(/^HTTP\/1.1 408/)
    expect(reply).toContain('"code":"request_timeout"')
    await once(socket, 'close')
  } finally {
    clearInterval(drip)
    await http.close()
  }
})
