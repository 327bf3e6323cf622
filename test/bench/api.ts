/** Small requests a second: showing an artifact beside a bare Fastify route with the same reply, and others. */
import { deepStrictEqual } from 'node:assert'
import { join } from 'node:path'
import { type Bench, MiB } from './bench.ts'
import { type LoadRequest, sendLoad } from './load.ts'
import { measured, type Options, parseOptions, withDirectory } from './part.ts'
import { startBareFastify, startFastifyAndSqlite } from './peers/bare-node.ts'
import { startHoldfast } from './peers/holdfast.ts'
import type { Peer } from './peers/peer.ts'
import { memoryOutcome, type Report, speedRatio } from './report.ts'
import { playRounds, samplesOf } from './rounds.ts'
import { makeFile, sha512Of } from './source-file.ts'
import { wrk } from './wrk.ts'

const connections = 16

const options: Options = {
  rounds: ['5', 'measurements of each figure, of which the median counts'],
  seconds: ['3', 'length of a measurement'],
}
const short = { rounds: '1', seconds: '1' }

const run = (words: readonly string[]): Promise<Report> => {
  const values = parseOptions(options, short, words)
  return withDirectory(async (directory, closing) => {
    const seconds = Number(values.seconds)
    const holdfast = closing(
      await startHoldfast(directory, { settings: { HOLDFAST_NAMESPACE_MAX_UPLOADS: '0' } }),
    )
    const path = join(directory, 'source')
    await (await makeFile(path, MiB)).close()
    const name = 'shown'
    await sendLoad(holdfast.port, [holdfast.requests({ path, offset: 0, length: MiB, piece: MiB, name })])
    await holdfast.digested(name)
    const shown = await holdfast.session.get(`/artifacts/${name}`)
    const bare = closing(await startBareFastify(shown.bytes.toString()))
    const rules = closing(await startFastifyAndSqlite(join(directory, 'holdfast', 'holdfast.db')))
    await expectSame(shown, rules.port, `/artifacts/${name}`, holdfast.headers)
    console.log([holdfast, bare, rules].map(({ description }) => description).join('; '))
    const get = (target: string): LoadRequest => ({ method: 'GET', target, headers: holdfast.headers })
    const contestant = (label: string, peer: Peer, request: LoadRequest) => ({
      name: label,
      run: () => measured(peer, () => wrk(peer.port, request, { connections, seconds })),
    })
    const task = `${connections} connections`
    const names = {
      bare: 'bare Fastify',
      rules: 'floor: Fastify and SQLite, the same queries',
      show: 'holdfast, show an artifact',
      byUuid: 'holdfast, show an artifact by UUID',
      find: 'holdfast, look up a SHA-512',
      create: 'holdfast, create an upload',
    }
    const create: LoadRequest = {
      method: 'POST',
      target: '/upload',
      headers: holdfast.headers,
      body: { text: '{}' },
    }
    const figures = await playRounds(task, Number(values.rounds), [
      contestant(names.bare, bare, get(`/artifacts/${name}`)),
      contestant(names.rules, rules, get(`/artifacts/${name}`)),
      contestant(names.show, holdfast, get(`/artifacts/${name}`)),
      contestant(names.byUuid, holdfast, get(`/artifacts/${shown.json.uuid}`)),
      contestant(names.find, holdfast, get(`/blob_checksums/sha512/${await sha512Of(path)}`)),
      contestant(names.create, holdfast, create),
    ])
    const of = (which: keyof typeof names) => samplesOf(figures, task, names[which])
    return {
      figures,
      outcomes: [
        speedRatio('show an artifact / bare Fastify', of('show'), of('bare'), { atLeast: 0.5 }),
        speedRatio('floor: Fastify and SQLite, the same queries / bare Fastify', of('rules'), of('bare')),
        speedRatio('show an artifact / that floor', of('show'), of('rules')),
        speedRatio('look up a SHA-512 / bare Fastify', of('find'), of('bare')),
        speedRatio('create an upload / bare Fastify', of('create'), of('bare')),
        memoryOutcome('peak RSS in small requests', [...of('show'), ...of('find'), ...of('create')], {
          atMost: 250,
        }),
      ],
    }
  })
}

/** A floor that answers something else would be none. */
const expectSame = async (
  shown: { readonly json: unknown },
  port: number,
  target: string,
  headers: Readonly<Record<string, string>>,
): Promise<void> => {
  const reply = await fetch(`http://127.0.0.1:${port}${target}`, { headers })
  deepStrictEqual(await reply.json(), shown.json)
}

export const bench: Bench = {
  summary: 'small requests a second: show an artifact, look up a checksum, create an upload; bare Fastify',
  options,
  run,
}
