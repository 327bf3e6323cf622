/** What the isolation suite gives a namespace to own, and what there is of the same form that does not exist. */
import { randomUUID } from 'node:crypto'
import { publish, type Session, upload } from '../support/api.ts'
import { bytesOf, comesTrue, type Report, sha512 } from './harness.ts'

/** One object of a kind, and one of the same form that does not exist. */
export interface Kind {
  readonly kind: string
  readonly foreign: string
  readonly missing: string
}

/** Everything that one namespace owns, in the fields that can name it. */
export type Belongings = Readonly<Record<string, readonly Kind[]>>

/** Of the same length, another name. */
const otherName = (name: string): string => `${name.slice(0, -1)}${name.endsWith('q') ? 'z' : 'q'}`
const uuidKind = (kind: string, foreign: string): Kind => ({ kind, foreign, missing: randomUUID() })
const nameKind = (kind: string, foreign: string): Kind => ({ kind, foreign, missing: otherName(foreign) })

/** The key of a namespace of this suite. */
export const keyOf = (namespace: string): string => `the key of ${namespace}`

/** Fills a namespace with one object of every kind. */
export const furnish = async (session: Session, report: Report): Promise<Belongings> => {
  const { namespace } = session
  const own = (what: string) => bytesOf(`${namespace} ${what}`, 5000)
  const [image] = [await publish(session, `${namespace}-disk`, own('image'))]
  await publish(session, `${namespace}-disk`, own('second version'))
  const other = await publish(session, `${namespace}-notes`, own('other'), { artifact_type: 'other' })
  const gone = await publish(session, `${namespace}-gone`, own('gone'))
  await session.delete(`/artifacts/${gone.uuid}`)
  const label = await session.post(`/label/${namespace}-label`, { blob_uuid: image.blob_uuid })
  const fetched = await session.post('/artifacts', { url: `http://${namespace}.invalid/image` })
  const hasFailed = async () => (await session.get(`/artifacts/${fetched.json.uuid}`)).json.state === 'error'
  report.check(await comesTrue(hasFailed, 20_000), 'a fetch from nowhere did not fail')
  const converted = await upload(session, own('converted'))
  await session.post(`/artifacts/upload/${namespace}-disk`, { upload_uuid: converted })
  const open = await upload(session, own('open'))
  const givenUp = await upload(session, own('given up'))
  await session.delete(`/upload/${givenUp}`)
  for (const target of [
    `/artifacts/${image.uuid}`,
    `/blobs/${image.blob_uuid}`,
    `/auth/namespaces/${encodeURIComponent(namespace)}`,
  ])
    await session.post(`${target}/metadata`, { key: 'colour', value: `${namespace}'s secret` })
  await session.post(`/auth/namespaces/${namespace}/keys`, {
    key_name: `${namespace}-key`,
    key: keyOf(namespace),
  })
  await session.post(`/auth/namespaces/${namespace}/trust`, { external_namespace: `${namespace}-friend` })
  const digests = async () => (await session.get(`/blobs/${image.blob_uuid}`)).json.checksums
  report.check(await comesTrue(async () => !!(await digests()).xxh128, 20_000), 'digests were never made')
  const checksums = Object.entries<string>(await digests())
  return {
    namespace: [nameKind('namespace', namespace)],
    external_namespace: [nameKind('namespace', namespace)],
    key_name: [nameKind('key', `${namespace}-key`)],
    upload_uuid: [
      uuidKind('upload', open),
      uuidKind('converted upload', converted),
      uuidKind('deleted upload', givenUp),
    ],
    artifact_ref: [
      uuidKind('artifact', image.uuid),
      uuidKind('artifact of type other', other.uuid),
      uuidKind('artifact in capitals', image.uuid.toUpperCase()),
      uuidKind('deleted artifact', gone.uuid),
      uuidKind('label', label.json.uuid),
      uuidKind('fetched artifact', fetched.json.uuid),
      nameKind("artifact's name", image.name),
      nameKind("deleted artifact's name", gone.name),
      nameKind("label's name", label.json.name),
    ],
    name: [nameKind("artifact's name", image.name), nameKind("label's name", label.json.name)],
    blob_uuid: [
      uuidKind('blob', image.blob_uuid),
      uuidKind('blob of a deleted artifact', gone.blob_uuid),
      uuidKind('artifact as a blob', image.uuid),
    ],
    source_url: [
      nameKind("upload's source", image.source_url),
      nameKind("label's source", label.json.source_url),
    ],
    url: [
      {
        kind: 'fetched URL',
        foreign: fetched.json.source_url,
        missing: fetched.json.source_url.replace(namespace, otherName(namespace)),
      },
    ],
    hash: checksums.map(([algorithm, hash]) => ({
      kind: algorithm,
      foreign: hash,
      missing: sha512(Buffer.from(hash)).slice(0, hash.length),
    })),
  }
}

/** The outsider's own objects, for the fields that are not in question. */
export const ownFields = async (session: Session): Promise<Record<string, string>> => {
  const view = await publish(session, 'own-disk', bytesOf(`own of ${session.namespace}`, 3000))
  return {
    namespace: session.namespace,
    external_namespace: 'system',
    key_name: 'first',
    upload_uuid: await upload(session, `own open upload of ${session.namespace}`),
    artifact_ref: view.uuid,
    name: 'own-name',
    blob_uuid: view.blob_uuid,
    hash: sha512(Buffer.from('nothing')),
  }
}

/** All that the owner sees of its own, but for what the server itself goes on with. */
export const snapshot = async (session: Session): Promise<unknown> => {
  const { namespace } = session
  const read = async (target: string) => (await session.get(target)).json
  const artifacts = (await read(`/artifacts?namespace=${namespace}`)).filter(
    ({ blob_uuid }: { blob_uuid?: string }) => blob_uuid !== undefined,
  )
  const details = []
  for (const { uuid, blob_uuid } of artifacts)
    details.push([
      await read(`/artifacts/${uuid}`),
      await read(`/artifacts/${uuid}/versions`),
      await read(`/artifacts/${uuid}/events`),
      await read(`/blobs/${blob_uuid}/events`),
      await read(`/blobs/${blob_uuid}/metadata`),
      sha512((await session.get(`/blobs/${blob_uuid}/data`)).bytes),
    ])
  return {
    artifacts,
    details,
    uploads: await read('/upload'),
    namespace: await read(`/auth/namespaces/${namespace}`),
  }
}
