/**
 * Seeded runs over lines that fail. Every run must end with the right bytes and exactly one version, whatever the line
 * did and however often the client was killed. `CLIENT_FAULT_RUNS` and `CLIENT_FAULT_SEED` choose others than the
 * few that every change goes through; from 100 runs on files grow up to 64 MiB.
 */
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Fault, startProxy, type TestProxy } from './test-proxy.ts'
import { startTestServer, type TestServer } from './test-server.ts'

const runs = Number(process.env.CLIENT_FAULT_RUNS ?? 12)
const firstSeed = Number(process.env.CLIENT_FAULT_SEED ?? 1)
const MiB = 1024 * 1024
const maxSize = runs >= 100 ? 64 * MiB : 6 * MiB
/** What one broken request can cost: bytes that left the client and never reached the server's disk. */
const lostPerFault = 8 * MiB
const program = fileURLToPath(new URL('./test-process.ts', import.meta.url))
const sha512 = (bytes: Uint8Array) => createHash('sha512').update(bytes).digest('hex')

/** A small generator of numbers in [0, 1) that a seed determines. */
const randomOf = (seed: number) => () => {
  seed = (seed + 0x6d2b79f5) | 0
  let t = Math.imul(seed ^ (seed >>> 15), 1 | seed)
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
  return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
}
type Random = ReturnType<typeof randomOf>

const someFault = (random: Random): Fault => {
  const after = Math.floor(random() ** 3 * 2 * MiB)
  const kind = Math.floor(random() * 10)
  if (kind < 3) return { kind: 'cut-request', after }
  if (kind < 5) return { kind: 'cut-reply', after: random() < 0.5 ? -1 : after }
  if (kind < 7) return { kind: 'status', status: [500, 502, 503][Math.floor(random() * 3)]! }
  if (kind < 8) return { kind: 'stall', after }
  return { kind: 'delay', ms: Math.floor(random() * 100) }
}

let server: TestServer
let proxy: TestProxy
const total = { faults: 0, bytes: 0, again: 0 }
beforeAll(async () => {
  server = await startTestServer()
  proxy = await startProxy(server.url)
})
afterAll(async () => {
  console.log(
    `${total.faults} faults; ${total.bytes} bytes of files; ${total.again} sent again ` +
      `(${Math.round(total.again / Math.max(1, total.faults))} a fault)`,
  )
  await proxy.close()
  await server.remove()
})

/** Breaks requests, never two of three in a row for ever: the chance falls with every fault. */
const breakSome = (random: Random, plain: boolean): (() => number) => {
  let faults = 0
  proxy.options = {
    plain,
    fault() {
      if (random() > 0.5 / (1 + faults / 6)) return undefined
      faults++
      return someFault(random)
    },
  }
  return () => faults
}

const sizeOf = (random: Random): number => {
  const kind = random()
  if (kind < 0.1) return 1
  return Math.max(1, Math.floor(kind < 0.5 ? random() * 100_000 : random() * maxSize))
}

const check = async (name: string, bytes: Buffer): Promise<void> => {
  const versions = await server.client().artifacts.versions(name)
  expect(versions.map(({ index, sha512 }) => [index, sha512])).toEqual([[1, sha512(bytes)]])
}

describe.each(Array.from({ length: runs }, (_, n) => firstSeed + n))('with the seed %i', (seed) => {
  it('one upload makes one version, and one download gives it back', { timeout: 120_000 }, async () => {
    const random = randomOf(seed)
    const plain = random() < 0.3
    const name = `seed ${seed}`
    const { path, bytes } = await server.file(`seed-${seed}`, sizeOf(random))
    const faults = breakSome(random, plain)
    const client = server.client({
      url: proxy.url,
      stallMs: 300,
      timeoutMs: 2000,
      retry: { ...fast, attempts: 12 },
    })
    const before = proxy.appended()
    const up = await client.upload({ source: path, name })
    const uploadFaults = faults()
    await check(name, bytes)
    const again = proxy.appended() - before - bytes.length
    total.faults += uploadFaults
    total.bytes += bytes.length
    total.again += Math.max(0, again)
    expect(again).toBeLessThanOrEqual(uploadFaults * lostPerFault)
    expect(up).toMatchObject({ size: bytes.length, sha512: sha512(bytes) })

    const to = `${path}.down`
    const down = await client.download({ artifact: name, to })
    expect(down.verified).toBe(true)
    expect(sha512(await readFile(to))).toBe(sha512(bytes))
    await rm(path)
    await rm(to)
  })
})

const fast = { baseMs: 2, maxMs: 20, patienceMs: 30_000 }

describe.each([
  ['Holdfast', false],
  ['a server without the extensions', true],
])('a client of %s that is killed again and again', (words, plain) => {
  it('ends with one version and the right bytes', { timeout: 120_000 }, async () => {
    const random = randomOf(firstSeed)
    const { path, bytes } = await server.file(`killed ${plain}`, 24 * MiB)
    const name = `killed ${words}`
    const job = { url: proxy.url, key: server.key, state: join(server.directory, 'killed') }
    // Slow enough for a kill to hit something
    proxy.options = { plain, fault: () => ({ kind: 'delay', ms: 40 }) }

    const runUntilDone = async (
      what: object,
    ): Promise<{ readonly lines: string; readonly kills: number }> => {
      for (let kills = 0; ; kills++) {
        const child = spawn(process.execPath, [program, JSON.stringify({ ...job, ...what })], {
          stdio: ['ignore', 'pipe', 'inherit'],
        })
        let lines = ''
        child.stdout.setEncoding('utf8').on('data', (text: string) => {
          lines += text
        })
        const ended = once(child, 'close')
        // After enough kills one run is let through
        const timer = setTimeout(() => child.kill('SIGKILL'), kills < 6 ? 150 + random() * 900 : 60_000)
        await ended
        clearTimeout(timer)
        if (child.exitCode === 0) return { lines, kills }
        expect(child.signalCode).toBe('SIGKILL')
      }
    }

    const up = await runUntilDone({ upload: { source: path, name } })
    await check(name, bytes)
    const to = `${path}.down`
    const down = await runUntilDone({ download: { artifact: name, to } })
    expect(sha512(await readFile(to))).toBe(sha512(bytes))
    console.log(`${words}: ${up.kills} kills, ${up.lines.trim()}; ${down.kills} kills, ${down.lines.trim()}`)
  })
})
