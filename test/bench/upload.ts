/**
 * Uploads: new content from a client to the disk, by our server and by others. Ours is counted from the first byte of the
 * upload's creation to the reply of the conversion: hashed, visible and durable. None of the others hashes or flushes;
 * `sync FILE` after nginx makes its bytes as durable as ours.
 */
import { join } from 'node:path'
import { type Bench, describeSize, MiB, parseSize } from './bench.ts'
import { fetchFreeMemory } from './free-memory.ts'
import { runCommand, sendLoad } from './load.ts'
import { measured, type Options, parseOptions, withDirectory } from './part.ts'
import { startBareNode, startUploadFloor } from './peers/bare-node.ts'
import { type Holdfast, startHoldfast } from './peers/holdfast.ts'
import { type Nginx, startNginx } from './peers/nginx.ts'
import type { Upload, UploadPeer } from './peers/peer.ts'
import { floorContestants } from './peers/tools.ts'
import { startTusd, startTusNode } from './peers/tus.ts'
import { cpuRatio, memoryOutcome, type Outcome, type Report, type Sample, speedRatio } from './report.ts'
import { type Contestant, playRounds, samplesOf } from './rounds.ts'
import { makeFile, stamp } from './source-file.ts'

const piece = 2 * MiB
const clients = 16

const options: Options = {
  size: ['1GiB', 'size of the file'],
  rounds: ['5', 'measurements of each figure, of which the median counts'],
}
const short = { size: '16MiB', rounds: '1' }

const run = (words: readonly string[]): Promise<Report> => {
  const values = parseOptions(options, short, words)
  return withDirectory(async (directory, closing) => {
    const size = parseSize(values.size!)
    const rounds = Number(values.rounds)
    const holdfast = closing(await startHoldfast(directory))
    const nginx = closing(await startNginx(directory))
    const others = [
      closing(await startTusd(directory)),
      closing(await startTusNode(directory)),
      closing(await startBareNode(directory)),
    ]
    const floor = closing(await startUploadFloor(directory))
    console.log([holdfast, nginx, ...others].map(({ description }) => description).join('; '))
    const path = join(directory, 'source')
    const file = await makeFile(path, size)
    const share = size / clients

    const sendOne = async (peer: UploadPeer, bytes: number, after?: (upload: Upload) => Promise<number>) => {
      await stamp(file)
      const upload = { path, offset: 0, length: size, piece: bytes, name: nextName() }
      return send(peer, [upload], after)
    }
    const sendMany = async (peer: UploadPeer) => {
      for (let i = 0; i < clients; i++) await stamp(file, i * share)
      const uploads = Array.from({ length: clients }, (_, i) => ({
        ...{ path, offset: i * share, length: share, piece: share },
        name: nextName(),
      }))
      return send(peer, uploads)
    }
    const one = (peer: UploadPeer): Contestant => ({ name: peer.name, run: () => sendOne(peer, size) })
    const pieces = (peer: UploadPeer): Contestant => ({
      name: `${peer.name}, 2 MiB bodies`,
      run: () => sendOne(peer, piece),
    })
    // The file's pages, and what a server needs to receive them.
    const prepare = () => fetchFreeMemory(directory, size + 256 * MiB)
    const single = `upload of ${describeSize(size)}`
    const many = `${clients} uploads of ${describeSize(share)}`
    const figures = [
      ...(await playRounds(
        single,
        rounds,
        [
          one(holdfast),
          pieces(holdfast),
          one(nginx),
          { name: 'nginx, sync FILE', run: () => sendOne(nginx, size, ({ name }) => syncFile(nginx, name)) },
          ...[...others, floor].map(one),
          ...others.filter(({ takesPieces }) => takesPieces).map(pieces),
          ...floorContestants(directory, path, size),
        ],
        { prepare },
      )),
      ...(await playRounds(
        many,
        rounds,
        [holdfast, nginx, ...others].map((peer) => ({ name: peer.name, run: () => sendMany(peer) })),
        { prepare },
      )),
    ]
    await file.close()
    const of = (name: string) => samplesOf(figures, single, name)
    const ours = of('holdfast')
    const sizes = describeSize(size)
    const outcomes: Outcome[] = [
      speedRatio(`${sizes} in one body / nginx DAV and sync FILE`, ours, of('nginx, sync FILE'), {
        atLeast: 1.3,
      }),
      speedRatio(`${sizes} in one body / nginx DAV`, ours, of('nginx'), { atLeast: 0.9 }),
      speedRatio(`${sizes} in one body / tusd`, ours, of('tusd'), { atLeast: 1 }),
      speedRatio('floor: sockets, SHA-512 and flush in Node / tusd', of('floor, SHA-512'), of('tusd')),
      speedRatio(`${sizes} in one body / that floor`, ours, of('floor, SHA-512')),
      speedRatio(`${sizes} in one body / @tus/server`, ours, of('@tus/server'), { atLeast: 1.2 }),
      speedRatio(`${sizes} in one body / bare node`, ours, of('bare node')),
      speedRatio(`${sizes} in one body / sha512sum`, ours, of('sha512sum')),
      speedRatio(
        'floor: SHA-512 alone, of OpenSSL / nginx DAV and sync FILE',
        of('openssl speed sha512'),
        of('nginx, sync FILE'),
      ),
      speedRatio('floor: SHA-512 alone, of OpenSSL / nginx DAV', of('openssl speed sha512'), of('nginx')),
      speedRatio(`${sizes} in one body / dd, fsync`, ours, of('dd, fsync')),
      speedRatio('2 MiB bodies / one body', of('holdfast, 2 MiB bodies'), ours, { atLeast: 0.8 }),
      speedRatio('2 MiB bodies / tusd', of('holdfast, 2 MiB bodies'), of('tusd, 2 MiB bodies')),
      cpuRatio('CPU of one body / nginx DAV', ours, of('nginx')),
      ...['nginx', ...others.map(({ name }) => name)].map((name) =>
        speedRatio(
          `${clients} at once / ${name}`,
          samplesOf(figures, many, 'holdfast'),
          samplesOf(figures, many, name),
        ),
      ),
      {
        what: 'event loop blocked during one body, 99th percentile',
        unit: 'ms',
        values: ours.map(({ loopDelay }) => loopDelay!),
        target: { atMost: 10 },
      },
      memoryOutcome(
        'peak RSS in uploads',
        figures
          .filter(({ contestant }) => contestant.startsWith('holdfast'))
          .flatMap(({ samples }) => samples),
        { atMost: 250 },
      ),
    ]
    return { figures, outcomes }
  })
}

export const bench: Bench = {
  summary:
    'new content to the disk: one body, 2 MiB bodies, 16 clients; nginx DAV, tusd, @tus/server, floors',
  options,
  run,
}

let counter = 0
const nextName = (): string => `upload-${++counter}`

/** Stores files on a peer, measures it and the seconds that `after` tells, and removes them. */
const send = async (
  peer: UploadPeer | Holdfast,
  uploads: readonly Upload[],
  after?: (upload: Upload) => Promise<number>,
): Promise<Sample> => {
  const requests = uploads.map((upload) => peer.requests(upload))
  const bytes = uploads.reduce((sum, { length }) => sum + length, 0)
  const sample = await measured(peer, async () => {
    let { seconds } = await sendLoad(peer.port, requests)
    if (after) for (const upload of uploads) seconds += await after(upload)
    return { seconds, bytes }
  })
  await peer.clean()
  return sample
}

const syncFile = async ({ root }: Nginx, name: string): Promise<number> =>
  (await runCommand('sync', join(root, name))).seconds
