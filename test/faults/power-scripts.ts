/** What the power-loss suite records: each operation of docs/durability.md by itself, and random mixtures. */
import { bytesOf, type Random, sha512 } from './harness.ts'
import type { PowerWork } from './power-work.ts'

export interface Script {
  /** As docs/durability.md has it. */
  readonly name: string
  readonly prepare: (store: PowerWork) => Promise<void>
  readonly work: (store: PowerWork) => Promise<void>
}

const small = bytesOf('small', 700)
const other = bytesOf('other', 900)
/** More than the bytes between two flushes. */
const large = bytesOf('large', 5000)

const uploaded = async (store: PowerWork, content: Buffer): Promise<string> => {
  const uuid = await store.create()
  await store.append(uuid, content, false)
  return uuid
}

const stored = async (store: PowerWork, content: Buffer, name: string): Promise<void> =>
  store.convert(await uploaded(store, content), name)

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

/** So many requests, one after the other or two at once, as the generator chooses. */
export const randomWork = async (store: PowerWork, random: Random, count: number): Promise<void> => {
  for (let n = 0; n < count; n++) {
    const first = chooseRequest(store, random)
    // Two at once only where each has its own upload, so that the book can tell what each may leave.
    await first?.()
  }
}

const contents = Array.from({ length: 6 }, (_, n) => bytesOf(`content ${n}`, 300 + n * 900))

const chooseRequest = (store: PowerWork, random: Random): (() => Promise<unknown>) | undefined => {
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
    return () => store.create()
  if (name === undefined && ['convertBlob', 'remove', 'keep', 'rot'].includes(kind)) return undefined
  const { length: size } = uuid === undefined ? small : store.book.upload(uuid)!.content
  switch (kind) {
    case 'create':
      return () => store.create()
    case 'append': {
      const bytes = random.pick(contents)
      const cut = random.chance(0.2) ? random.between(0, bytes.length - 1) : undefined
      return () => store.append(uuid!, bytes, random.chance(0.5), cut)
    }
    case 'truncate':
      return () => store.truncate(uuid!, random.between(0, size))
    case 'convert':
      return size === 0 ? undefined : () => store.convert(uuid!, `artifact ${random.between(1, 3)}`)
    case 'convertBlob': {
      const digest = store.book.artifact(name!).at(-1)!.sha512
      if (store.book.damaged.has(digest)) return undefined
      return () => store.convertBlob(name!, `artifact ${random.between(1, 3)}`)
    }
    case 'remove': {
      if (random.chance(0.5)) return () => store.deleteArtifact(name!)
      return () => store.deleteVersion(name!, random.pick(store.book.artifact(name!)).index)
    }
    case 'keep':
      return () => store.keep(name!, random.between(1, 4))
    case 'dropUpload':
      return () => store.deleteUpload(uuid!)
    case 'expire':
      return () => store.expire()
    case 'collect':
      return () => store.collect()
    case 'rot': {
      const digest = random.pick(store.book.artifact(name!)).sha512
      if (store.book.damaged.has(digest)) return undefined
      return async () => {
        await store.damage(digest)
        await store.verify(digest)
      }
    }
  }
}
