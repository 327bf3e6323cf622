/**
 * Transfers that end half-way, in every way a program can end, and are continued by the same command. What is ended is
 * the real program in a process; what comes before and after runs inside this one.
 */
import { randomBytes } from 'node:crypto'
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { login, type Session } from '../support/api.ts'
import { type RunningServer, startServer } from '../support/server.ts'
import { type Gate, makeGate } from './gate.ts'
import { makePlace, type Place } from './run.ts'

const MiB = 1024 * 1024

let server: RunningServer
let system: Session
let gate: Gate
let place: Place
/** Each test has content and a name that the server does not know yet. */
let data: Buffer
let name: string
let upload: string[]

beforeAll(async () => {
  server = await startServer()
  system = await login(server.url, 'system', server.systemKey)
})

afterAll(() => server.remove())

beforeEach(async ({ task }) => {
  data = randomBytes(12 * MiB)
  name = task.name
  upload = ['artifact', 'upload', name, 'big.img']
  gate = await makeGate(server.url)
  place = await makePlace({
    SHAKENFIST_API_URL: gate.url,
    SHAKENFIST_NAMESPACE: 'system',
    SHAKENFIST_KEY: server.systemKey,
  })
  await writeFile(join(place.home, 'big.img'), data)
  process.chdir(place.home)
})

afterEach(async () => {
  process.chdir('/')
  await gate.close()
  await place.remove()
})

/** Begins an upload and ends it with a signal when 5 MiB are under way. */
const interruptUpload = async (signal: NodeJS.Signals) => {
  const shut = gate.shutAfter('toServer', 5 * MiB)
  const running = place.start(upload)
  await shut
  running.child.kill(signal)
  const ended = await running.ended
  gate.cut()
  gate.open()
  return ended
}

/**
 * Runs the same command again and answers how many bytes went to the server. How much of the first run it had read when its
 * connection was cut is up to the machine, but what it acknowledged before was not nothing.
 */
const continueUpload = async (...words: string[]) => {
  const before = gate.counts.toServer
  const ended = await place.run(...words)
  expect(ended).toMatchObject({ code: 0, stdout: expect.stringContaining('Created artifact') })
  expect(ended.stderr).toMatch(/Continuing upload [0-9a-f-]{36} to node-1 at /)
  return gate.counts.toServer - before
}

const expectStored = async () => {
  const artifact = (await system.get(`/artifacts/${encodeURIComponent(name)}`)).json
  expect(artifact.index).toBe(1)
  const stored = await system.get(`/blobs/${artifact.blob_uuid}/data`)
  expect(stored.bytes.equals(data)).toBe(true)
  expect((await system.get('/upload')).json).toEqual([])
  expect((await place.run('upload', 'resume')).stderr).toContain('nothing to continue')
}

test('an upload ended by Ctrl-C says how to go on, and goes on', async () => {
  const ended = await interruptUpload('SIGINT')
  expect(ended.code).toBe(130)
  expect(ended.stdout).toBe('')
  expect(ended.stderr).toMatch(/holdfast: interrupted\nAbout .* of big\.img are on the server/)
  const [, uuid] = ended.stderr.match(/holdfast upload resume ([0-9a-f-]{36})\n/)!
  expect((await place.run('--simple', 'upload', 'list')).stdout).toContain(`${uuid},node-1,`)
  expect(await continueUpload(...upload)).toBeLessThan(data.length)
  await expectStored()
})

test('an upload ended by SIGKILL goes on', async () => {
  expect((await interruptUpload('SIGKILL')).code).toBe('SIGKILL')
  expect(await continueUpload('upload', 'resume')).toBeLessThan(data.length)
  await expectStored()
})

test('an interrupted upload can be given up', async () => {
  const { stderr } = await interruptUpload('SIGTERM')
  const [, uuid] = stderr.match(/holdfast upload resume ([0-9a-f-]{36})\n/)!
  expect((await place.run('upload', 'abort', uuid!)).code).toBe(0)
  expect((await system.get('/upload')).json).toEqual([])
  expect((await place.run('upload', 'resume')).stderr).toContain('nothing to continue')
})

test('a download ended by Ctrl-C, and then by SIGKILL, goes on', async () => {
  expect((await place.run(...upload)).code).toBe(0)
  const words = ['artifact', 'download', name, 'back.img', '--connections', '1']
  for (const signal of ['SIGINT', 'SIGKILL'] as const) {
    const shut = gate.shutAfter('fromServer', 4 * MiB)
    const running = place.start(words)
    await shut
    running.child.kill(signal)
    const ended = await running.ended
    gate.cut()
    gate.open()
    expect(ended.code).toBe(signal === 'SIGINT' ? 130 : 'SIGKILL')
    if (signal === 'SIGINT') expect(ended.stderr).toContain('are kept in back.img.part')
    expect(await readdir(place.home)).not.toContain('back.img')
  }
  const before = gate.counts.fromServer
  const ended = await place.run(...words)
  expect(ended).toMatchObject({ code: 0, stdout: expect.stringContaining('Download complete') })
  // How much the first run had written when the signal came is up to the machine, but it was not nothing.
  expect(gate.counts.fromServer - before).toBeLessThan(data.length)
  expect((await readFile(join(place.home, 'back.img'))).equals(data)).toBe(true)
  expect((await readdir(place.home)).filter((file) => file.includes('.part'))).toEqual([])
})

test('a line that drops is no reason to end', async () => {
  const shut = gate.shutAfter('toServer', 5 * MiB)
  const running = place.start(upload)
  await shut
  gate.cut()
  gate.open()
  const ended = await running.ended
  expect(ended.code).toBe(0)
  expect(ended.stderr).toMatch(/; trying again in \d+ s/)
  await expectStored()
})

test('pipes carry data and nothing else, and results', async () => {
  const up = await place.start(['artifact', 'upload', name, '-'], data).ended
  expect(up).toMatchObject({ code: 0, stdout: expect.stringContaining('Created artifact') })
  const down = await place.start(['artifact', 'download', name, '-']).ended
  expect(down.code).toBe(0)
  expect(down.bytes.equals(data)).toBe(true)
  expect(down.stderr).toContain('Download complete')
})
