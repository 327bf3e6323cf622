/** What the power-loss suite records: each operation of docs/durability.md by itself, and random mixtures. */
import { bytesOf, type Random, sha512 } from './harness.ts'
import { remote } from './power-remote.ts'
import type { PowerWork } from './power-work.ts'

export interface Script {
  /** As docs/durability.md has it. */
  readonly name: string
  /** Its steps come in one order or another. */
  readonly isUnordered?: boolean
  readonly prepare: (store: PowerWork) => Promise<void>
  readonly work: (store: PowerWork) => Promise<void>
}

const small = bytesOf('small', 700)
const other = bytesOf('other', 900)
/** More than the bytes between two flushes. */
const large = bytesOf('large', 5000)
const larger = bytesOf('larger', 7000)

const uploaded = async (store: PowerWork, content: Buffer): Promise<string> => {
  const uuid = await store.create()
  await store.append(uuid, content, false)
  return uuid
}

const stored = async (store: PowerWork, content: Buffer, name: string): Promise<void> =>
  store.convert(await uploaded(store, content), name)

/** A fetch of `content` that was interrupted in the middle. */
const halfFetched = async (store: PowerWork, content: Buffer, later: Buffer): Promise<void> => {
  const name = remote.add({ content, silentAt: content.length >> 1 })
  await store.orderFetch(name, later)
  await store.beginFetch()
  remote.change(name, { content: later })
}

const only = (store: PowerWork): string => store.uploads.at(-1)!

export const scripts: readonly Script[] = [
  { name: 'create an upload', prepare: async () => {}, work: async (store) => void (await store.create()) },
  {
    name: 'append',
    prepare: async (store) => void (await uploaded(store, other)),
    work: (store) => store.append(only(store), small, false),
  },
  {
    name: 'append, cut short',
    prepare: async (store) => void (await uploaded(store, other)),
    work: (store) => store.append(only(store), small, false, 300),
  },
  {
    name: 'truncate',
    prepare: async (store) => void (await uploaded(store, small)),
    work: (store) => store.truncate(only(store), 100),
  },
  {
    name: 'truncate below what was flushed',
    prepare: async (store) => store.flushed(await uploaded(store, large)),
    work: (store) => store.truncate(only(store), 100),
  },
  {
    name: 'convert, new content',
    prepare: async (store) => void (await uploaded(store, small)),
    work: (store) => store.convert(only(store), 'a'),
  },
  {
    name: 'convert, known content',
    prepare: async (store) => {
      await stored(store, small, 'a')
      await uploaded(store, small)
    },
    work: (store) => store.convert(only(store), 'b'),
  },
  {
    name: 'convert, healing',
    prepare: async (store) => {
      await stored(store, small, 'a')
      await store.damage(sha512(small))
      await store.verify(sha512(small))
      await uploaded(store, small)
    },
    work: (store) => store.convert(only(store), 'b'),
  },
  {
    name: 'convert a blob',
    prepare: (store) => stored(store, small, 'a'),
    work: (store) => store.convertBlob('a', 'b'),
  },
  {
    name: 'delete a version, delete an artifact, prune',
    prepare: async (store) => {
      for (const content of [small, other, large]) await stored(store, content, 'a')
    },
    work: async (store) => {
      await store.deleteVersion('a', 2)
      await store.keep('a', 1)
      await store.deleteArtifact('a')
    },
  },
  {
    name: 'delete an upload',
    prepare: async (store) => void (await uploaded(store, small)),
    work: (store) => store.deleteUpload(only(store)),
  },
  {
    name: 'expire',
    prepare: async (store) => void (await uploaded(store, small)),
    work: (store) => store.expire(),
  },
  {
    name: 'fetch',
    prepare: async () => {},
    work: async (store) => {
      await store.orderFetch(remote.add({ content: small }), small)
      await store.runFetches()
    },
  },
  {
    name: 'fetch, gone on with',
    isUnordered: true,
    prepare: (store) => halfFetched(store, large, large),
    work: (store) => store.runFetches(),
  },
  {
    name: 'fetch, gone on with after the remote has changed',
    isUnordered: true,
    prepare: (store) => halfFetched(store, large, larger),
    work: (store) => store.runFetches(),
  },
  {
    name: 'collect',
    prepare: async (store) => {
      await stored(store, small, 'a')
      await store.deleteArtifact('a')
    },
    work: (store) => store.collect(),
  },
  {
    name: 'quarantine',
    prepare: async (store) => {
      await stored(store, small, 'a')
      await store.damage(sha512(small))
    },
    work: async (store) => void (await store.verify(sha512(small))),
  },
  {
    name: 'verify a blob in quarantine that is right',
    prepare: async (store) => {
      await stored(store, small, 'a')
      await store.damage(sha512(small))
      await store.verify(sha512(small))
      await store.repair(sha512(small))
    },
    work: async (store) => void (await store.verify(sha512(small))),
  },
  {
    name: 'write a start file',
    prepare: (store) => store.loseTokenKey(),
    work: (store) => store.makeTokenKey(),
  },
]

/** One request, and the uploads and artifacts it may change: two that share none may run at once. */
interface Request {
  readonly touches: readonly string[]
  readonly run: () => Promise<unknown>
}

/** So many requests, one after the other or two at once, as the generator chooses. */
export const randomWork = async (store: PowerWork, random: Random, count: number): Promise<void> => {
  for (let n = 0; n < count; n++) {
    const requests = [chooseRequest(store, random)].flatMap((request) => request ?? [])
    const other = random.chance(0.3) ? chooseRequest(store, random) : undefined
    const touched = requests.flatMap(({ touches }) => touches)
    const isApart = ({ touches }: Request) =>
      ![touches, touched].some((list) => list.includes(everything)) &&
      !touches.some((one) => touched.includes(one))
    if (other && isApart(other)) requests.push(other)
    await Promise.all(requests.map(({ run }) => run()))
  }
}

const everything = '*'

const contents = Array.from({ length: 6 }, (_, n) => bytesOf(`content ${n}`, 300 + n * 900))

const chooseRequest = (store: PowerWork, random: Random): Request | undefined => {
  const { uploads, names } = store
  const kind = random.weighted({
    create: 3,
    append: 10,
    convert: 6,
    truncate: 3,
    convertBlob: 2,
    remove: 3,
    keep: 1,
    dropUpload: 1,
    expire: 0.3,
    collect: 2,
    rot: 1,
  })
  const uuid = uploads.length > 0 ? random.pick(uploads) : undefined
  const name = names.length > 0 ? random.pick(names) : undefined
  if (uuid === undefined && ['append', 'truncate', 'convert', 'dropUpload'].includes(kind))
    return doing([], () => store.create())
  if (name === undefined && ['convertBlob', 'remove', 'keep', 'rot'].includes(kind)) return undefined
  const { length: size } = uuid === undefined ? small : store.book.upload(uuid)!.content
  switch (kind) {
    case 'create':
      return doing([], () => store.create())
    case 'append': {
      const bytes = random.pick(contents)
      const cut = random.chance(0.2) ? random.between(0, bytes.length - 1) : undefined
      const isConditional = random.chance(0.5)
      return doing([uuid!], () => store.append(uuid!, bytes, isConditional, cut))
    }
    case 'truncate': {
      const left = random.between(0, size)
      return doing([uuid!], () => store.truncate(uuid!, left))
    }
    case 'convert': {
      const target = `artifact ${random.between(1, 3)}`
      return size === 0 ? undefined : doing([uuid!, target], () => store.convert(uuid!, target))
    }
    case 'convertBlob': {
      const digest = store.book.artifact(name!).at(-1)!.sha512
      if (store.book.damaged.has(digest)) return undefined
      const target = `artifact ${random.between(1, 3)}`
      return doing([name!, target], () => store.convertBlob(name!, target))
    }
    case 'remove': {
      if (random.chance(0.5)) return doing([name!], () => store.deleteArtifact(name!))
      const { index } = random.pick(store.book.artifact(name!))
      return doing([name!], () => store.deleteVersion(name!, index))
    }
    case 'keep': {
      const count = random.between(1, 4)
      return doing([name!], () => store.keep(name!, count))
    }
    case 'dropUpload':
      return doing([uuid!], () => store.deleteUpload(uuid!))
    case 'expire':
      return doing([everything], () => store.expire())
    case 'collect':
      return doing([], () => store.collect())
    case 'rot': {
      const digest = random.pick(store.book.artifact(name!)).sha512
      if (store.book.damaged.has(digest)) return undefined
      return doing([everything], async () => {
        await store.damage(digest)
        await store.verify(digest)
      })
    }
  }
}

const doing = (touches: readonly string[], run: Request['run']): Request => ({ touches, run })
