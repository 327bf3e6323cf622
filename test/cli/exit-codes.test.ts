/** How commands end, and what they say then. `docs/command-line.md` lists the codes. */
import { once } from 'node:events'
import { readFile, stat, writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { exitCodes } from '../../packages/cli/src/failures.ts'
import { digestsMade, login, type Session } from '../support/api.ts'
import { freePort } from '../support/ports.ts'
import { type RunningServer, startServer } from '../support/server.ts'
import { makePlace, type Place } from './run.ts'

const unknown = '00000000-0000-4000-8000-000000000000'

/** Other files run in this process later. */
const directory = process.cwd()
let server: RunningServer
let place: Place
let system: Session
/** A server that accepts every key and answers every question with nonsense. */
let liar: Server
let liarUrl: string

beforeAll(async () => {
  liar = createServer((request, reply) => {
    const token = { access_token: 'x', token_type: 'Bearer', expires_in: 900 }
    reply.setHeader('Content-Type', 'application/json')
    reply.end(JSON.stringify(request.url === '/auth' ? token : [{}]))
  }).listen(0, '127.0.0.1')
  await once(liar, 'listening')
  liarUrl = `http://127.0.0.1:${(liar.address() as AddressInfo).port}`
  server = await startServer()
  place = await makePlace({
    SHAKENFIST_API_URL: server.url,
    SHAKENFIST_NAMESPACE: 'system',
    SHAKENFIST_KEY: server.systemKey,
  })
  system = await login(server.url, 'system', server.systemKey)
  process.chdir(place.home)
})

afterAll(async () => {
  process.chdir(directory)
  liar.close()
  await place.remove()
  await server.remove()
})

test('each kind of failure has its exit code, and says what to do', async () => {
  const nobody = `http://127.0.0.1:${await freePort()}`
  const cases: [code: number, words: string[], says: string][] = [
    [1, ['artifact', 'upload', 'x', '/nowhere/at/all'], '/nowhere/at/all does not exist'],
    [1, ['--apiurl', 'ftp://x', 'artifact', 'list'], 'must begin with http://'],
    [1, ['namespace', 'clean'], 'Use option --confirm.'],
    [1, ['namespace', 'create', 'a/b'], 'namespace'],
    [2, ['frob'], "unknown command 'frob'"],
    [2, ['artifact', 'frob'], "unknown command 'frob'"],
    [2, ['artifact', 'show'], "missing required argument 'artifact_ref'"],
    [2, ['artifact', 'upload', 'x'], "missing required argument 'source'"],
    [2, ['artifact', 'upload', 'x', '.'], 'is a directory'],
    [2, ['artifact', 'list', '--frob'], "unknown option '--frob'"],
    [2, ['artifact', 'max-versions', 'x', 'many'], 'whole number'],
    [2, ['upload', 'abort'], 'say which uploads, or --all'],
    [2, ['artifact', 'list', '--key', 'x'], '--key belongs before the command: holdfast --key ... artifact'],
    [2, ['--config', 'x', '--apiurl', nobody, 'artifact', 'list'], 'not both'],
    [
      3,
      ['artifact', 'show', 'nope'],
      'artifact not found\n`holdfast artifact list` shows those you may see.',
    ],
    [3, ['--namespace', 'nope', 'artifact', 'list'], 'there is no namespace nope to log in to'],
    [3, ['label', 'show', 'nope'], '`holdfast label list` shows those you may see.'],
    [3, ['blob', 'show', unknown], 'blob not found'],
    [3, ['upload', 'resume', unknown], 'remembers no upload'],
    [4, ['--key', 'wrong', 'artifact', 'list'], '`holdfast login` asks for another one'],
    [5, ['--apiurl', nobody, '--patience', '0', 'artifact', 'list'], `The server is ${nobody}`],
    [70, ['--apiurl', liarUrl, 'artifact', 'list'], 'this is a bug of holdfast: '],
  ]
  for (const [code, words, says] of cases) {
    const ended = await place.run(...words)
    expect({ words, code: ended.code }).toEqual({ words, code })
    expect(ended.stderr).toMatch(/^holdfast: /)
    expect(ended.stderr).toContain(says)
    // Nothing but results goes there, and stacks are for those who ask for them
    expect(ended.stdout).toBe('')
    expect(ended.stderr).not.toContain('    at ')
  }
  expect((await place.run('--apiurl', liarUrl, 'artifact', 'list', '--verbose')).stderr).toContain('    at ')
})

test('a namespace without the right to do a thing is told so', async () => {
  await system.post('/auth/namespaces', { namespace: 'small', key_name: 'k', key: 'small key' })
  const words = ['--namespace', 'small', '--key', 'small key', 'namespace', 'create', 'other']
  const ended = await place.run(...words)
  expect(ended.code).toBe(4)
  expect(ended.stderr).toContain('Only the namespace system may do this.')
})

test('nothing configured is a user error with a next step', async () => {
  const nowhere = await makePlace()
  try {
    const ended = await nowhere.run('artifact', 'list')
    expect(ended.code).toBe(1)
    expect(ended.stderr).toContain('`holdfast login` asks for what is missing')
  } finally {
    await nowhere.remove()
  }
})

test('files that someone damaged on the server never get their name', async () => {
  await writeFile('rotten', 'good bytes')
  await place.run('artifact', 'upload', 'rotten', 'rotten')
  const { blob_uuid } = (await system.get('/artifacts/rotten')).json
  await digestsMade(system)
  await writeFile(join(server.dataDir, 'blobs', blob_uuid.slice(0, 2), blob_uuid), 'evil bytes')
  const ended = await place.run('--patience', '1', 'artifact', 'download', 'rotten', 'rotten.out')
  expect(ended.code).toBe(6)
  expect(ended.stderr).not.toContain('rotten.out.part.\n')
  await expect(stat('rotten.out')).rejects.toThrow('ENOENT')
})

test('a download that cannot be written says why', async () => {
  await writeFile('written', 'written')
  await place.run('artifact', 'upload', 'written', 'written')
  const ended = await place.run('artifact', 'download', 'written', 'no/such/place')
  expect(ended.code).toBe(1)
  expect(ended.stderr).toBe('holdfast: the directory no/such does not exist\n')
})

test('the documentation lists these codes and no others', async () => {
  const text = await readFile(new URL('../../docs/command-line.md', import.meta.url), 'utf8')
  const section = text.split('\n## ').find((part) => part.startsWith('Exit codes'))!
  const listed = [...section.matchAll(/^\| (\d+) /gm)].map(([, code]) => Number(code))
  expect(listed).toEqual(Object.values(exitCodes))
})
