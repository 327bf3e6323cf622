/** `holdfast admin` against a real server whose jobs run only when asked. */
import { randomBytes } from 'node:crypto'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createNamespace, digestsMade, login, publish, type Session } from '../support/api.ts'
import { type RunningServer, startServer } from '../support/server.ts'
import { makePlace, type Place } from './run.ts'

let server: RunningServer
let system: Session
let place: Place

beforeAll(async () => {
  server = await startServer({
    settings: { HOLDFAST_JOB_INTERVAL: '1000000', HOLDFAST_COLLECT_GRACE: '0' },
  })
  system = await login(server.url, 'system', server.systemKey)
  place = await makePlace({
    SHAKENFIST_API_URL: server.url,
    SHAKENFIST_NAMESPACE: 'system',
    SHAKENFIST_KEY: server.systemKey,
  })
})
afterAll(async () => {
  await place.remove()
  await server.remove()
})

const store = async () => {
  const { uuid, blob_uuid } = await publish(system, `x ${randomBytes(3).toString('hex')}`, randomBytes(1024))
  return { artifact: uuid as string, blob: blob_uuid as string }
}

test('jobs are listed in three shapes, and run', async () => {
  const ran = await place.run('admin', 'run', 'prune-history')
  expect(ran).toMatchObject({ code: 0, stderr: '' })
  expect(ran.stdout).toMatch(/^prune-history: events 0, artifacts 0, /)
  const pretty = await place.run('admin', 'jobs')
  expect(pretty.stdout).toMatch(/\| +prune-history +\| +idle +\| .* \| +done +\| events 0, /)
  const simple = (await place.run('--simple', 'admin', 'jobs')).stdout.trimEnd().split('\n')
  expect(simple[0]).toBe('name,state,next_run,last_run,seconds,outcome,report')
  for (const line of simple) expect(line.split(',').length).toBe(7)
  const json = JSON.parse((await place.run('--json', 'admin', 'jobs')).stdout)
  expect(json).toContainEqual(expect.objectContaining({ name: 'verify-blobs', is_running: false }))
  expect(await place.run('admin', 'run', 'no-such-job')).toMatchObject({
    code: 3,
    stderr: 'holdfast: there is no such job\n',
  })
})

test('collect, dry and for good, and explain', async () => {
  expect((await place.run('admin', 'collect', '--dry-run')).stdout).toBe('Something refers to every blob.\n')
  const { artifact, blob } = await store()
  expect((await place.run('admin', 'explain', blob)).stdout).toMatch(
    /^reason +: alive: 1 version holds it$[\s\S]*^Held by:\n {4}system\/x .* version 1 \(image /m,
  )
  await system.delete(`/artifacts/${artifact}`)
  const dry = await place.run('admin', 'collect', '--dry-run')
  expect(dry.stdout).toMatch(new RegExp(`\\| ${blob} \\| 1024 \\| .* \\| yes \\| no version and no lease`))
  expect(dry.stdout).toContain('\nCollection would remove 1 of these 1 blobs now, 1.0 KiB.\n')
  expect(JSON.parse((await place.run('--json', 'admin', 'collect', '--dry-run')).stdout)).toMatchObject({
    blobs: [{ uuid: blob, is_due: true }],
  })
  expect((await place.run('admin', 'collect')).stdout).toMatch(/^collect-blobs: collected 1, leftovers 0/)
  const gone = await place.run('admin', 'explain', blob)
  expect(gone.stdout).toMatch(/^reason +: deleted at .* by the job collect-blobs: nothing referred to it/m)
  expect(gone.stdout).toMatch(/^Released by:\n {4}.* system\/x .* version 1 \(image .*\): deleted$/m)
  const simple = (await place.run('--simple', 'admin', 'explain', blob)).stdout
  expect(simple).toMatch(/^state:deleted$[\s\S]*^released:/m)
  expect(await place.run('admin', 'explain', artifact)).toMatchObject({
    code: 3,
    stderr: 'holdfast: blob not found\n',
  })
})

test('verify and quarantine', async () => {
  const [good, bad] = [await store(), await store()]
  expect((await place.run('admin', 'quarantine')).stdout).toBe('No blob is damaged.\n')
  expect(await place.run('admin', 'verify', good.blob)).toMatchObject({
    code: 0,
    stdout: `${good.blob} of 1024 bytes: good\n`,
  })
  await digestsMade(system)
  await rm(join(server.dataDir, 'blobs', bad.blob.slice(0, 2), bad.blob))
  const found = await place.run('--simple', 'admin', 'verify', bad.blob)
  expect(found).toMatchObject({ code: 6, stdout: `${bad.blob},damaged\n` })
  expect(found.stderr).toMatch(/^holdfast: the stored bytes of this blob are damaged or missing; upload/)
  expect((await place.run('--simple', 'admin', 'quarantine')).stdout).toMatch(
    new RegExp(
      `^uuid,size,since,references,reason\n${bad.blob},1024,.*,1,its file is missing or cannot be read\n`,
    ),
  )
  expect((await place.run('admin', 'verify')).stdout).toMatch(/^in quarantine {4}: 1$/m)
  const all = await place.run('-q', 'admin', 'verify', '--all', '--wait')
  expect(all).toMatchObject({ code: 6, stdout: expect.stringMatching(/^still to read {4}: 0 blobs, 0 B$/m) })
  expect(all.stderr).toContain('damaged blobs: 1; `holdfast admin quarantine` lists them')
})

test('what makes no sense is refused, and others may not', async () => {
  expect((await place.run('admin', 'verify', '--wait')).code).toBe(2)
  expect((await place.run('admin', 'verify', '--all', 'x')).code).toBe(2)
  const { namespace } = await createNamespace(server.url, system)
  const other = ['--namespace', namespace, '--key', `key of ${namespace}`]
  for (const words of [
    ['jobs'],
    ['collect'],
    ['usage'],
    ['failures'],
    ['nodes'],
    ['quarantine'],
    ['verify'],
    ['explain', 'x'],
  ])
    expect((await place.run(...other, 'admin', ...words)).code, words[0]).toBe(4)
})

test('what the store holds is shown over time, in three shapes', async () => {
  await store()
  await place.run('admin', 'run', 'sample-usage')
  const simple = (await place.run('--simple', 'admin', 'usage')).stdout.trimEnd().split('\n')
  expect(simple[0]).toBe('time,stored,logical,saved,unreferenced,uploads,free,artifacts,versions')
  expect(simple.at(-1)!.split(',').length).toBe(9)
  expect((await place.run('admin', 'usage', '--days', '90')).stdout).toMatch(/\| +time +\| +stored +\|/)
  const json = JSON.parse((await place.run('--json', 'admin', 'usage')).stdout)
  expect(json.newest).toMatchObject({ stored_bytes: expect.any(Number) })
})

test('failures are listed', async () => {
  const wrong = await place.run('--namespace', 'system', '--key', 'wrong', 'admin', 'jobs')
  expect(wrong.code).toBe(4)
  const simple = await place.run('--simple', 'admin', 'failures')
  expect(simple.stdout).toMatch(/^last,count,route,.*\n(.*\n)*.*,authenticate,,wrong_key,401,/)
})

test('the only node is listed, and cannot be forgotten', async () => {
  const simple = (await place.run('--simple', 'admin', 'nodes')).stdout.trimEnd().split('\n')
  expect(simple[0]).toBe('name,state,uploads,started,seen,version,url,answers')
  expect(simple.slice(1)).toEqual([expect.stringMatching(/^node-1,up,\d+,.*,yes$/)])
  const json = JSON.parse((await place.run('--json', 'admin', 'nodes')).stdout)
  expect(json).toMatchObject([{ name: 'node-1', state: 'up', answers: true }])
  expect((await place.run('admin', 'forget-node', 'node-1')).stderr).toContain('the node is running')
  expect((await place.run('admin', 'forget-node', 'node-9')).stderr).toContain('there is no such node')
})

test('limits of a namespace are shown and set', async () => {
  const { namespace } = await createNamespace(server.url, system)
  const limits = (...words: string[]) => place.run('--simple', 'namespace', 'limits', namespace, ...words)
  expect((await limits()).stdout).toBe('what,used,limit\nbytes,0,none\nartifacts,0,none\nuploads,0,10000\n')
  const set = await limits('--bytes', '1.5GiB', '--uploads', '7')
  expect(set.stdout).toBe('what,used,limit\nbytes,0,1610612736\nartifacts,0,none\nuploads,0,7\n')
  expect((await limits('--bytes', 'none')).stdout).toMatch(/^bytes,0,none\n.*\nuploads,0,7$/m)
  expect((await limits('--uploads', 'default')).stdout).toMatch(/^uploads,0,10000$/m)
  expect((await place.run('namespace', 'limits', namespace)).stdout).toMatch(/\| +bytes +\| +0 B +\| +none/)
  for (const nonsense of ['-1', '1.5', '3 apples', ''])
    expect((await limits('--bytes', nonsense)).code, nonsense).toBe(2)
  const other = ['--namespace', namespace, '--key', `key of ${namespace}`]
  expect((await place.run(...other, 'namespace', 'limits', namespace)).code).toBe(0)
  expect((await place.run(...other, 'namespace', 'limits', namespace, '--bytes', '5')).code).toBe(4)
})
