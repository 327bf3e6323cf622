/** The steps of the model suite that bring contents in. */
import { at, type Do, expectEqual, nowhere, type Stage, type Step, same, settled } from './model-stage.ts'
import { digestOf, type Identity, type Refusal, system, type Upload, type World } from './model-world.ts'

const convertTo = (stage: Stage, actor: string, step: Step) => {
  const { world, names } = stage
  const name = at(names, step.b)!
  const wish = {
    name,
    // Mostly the own namespace, mostly an image.
    namespace: step.c % 4 === 0 ? at(stage.namespaces, step.c >> 2) : undefined,
    artifact_type: [undefined, 'other', 'image', 'label'][step.d % 7 === 0 ? 3 : step.d % 3],
    source_url: step.d % 5 === 0 ? `https://example.org/${name}` : undefined,
    shared: step.c % 5 === 0 ? true : undefined,
  }
  const identity: Identity = {
    namespace: wish.namespace ?? actor,
    type: wish.artifact_type ?? 'image',
    sourceUrl: wish.source_url ?? `sf://upload/${actor}/${name}`,
    name,
  }
  let refusal: Refusal
  if (identity.type === 'label') refusal = 'artifact_type_invalid'
  else if (wish.shared && actor !== system) refusal = 'share_system_only'
  else if (!world.reachesNamespace(actor, identity.namespace)) refusal = 'namespace_not_found'
  return { name, wish, identity, refusal }
}

/** What a client may expect of the content, right or wrong. */
const expectation = (content: string, pick: number): { fields: object; refusal: Refusal } => {
  if (pick % 11 === 0) return { fields: { size: Buffer.byteLength(content) + 1 }, refusal: 'size_mismatch' }
  if (pick % 11 === 1) return { fields: { sha512: digestOf('other') }, refusal: 'digest_mismatch' }
  if (pick % 11 < 5)
    return {
      fields: { sha512: digestOf(content).toUpperCase(), size: `${Buffer.byteLength(content)}` },
      refusal: undefined,
    }
  return { fields: {}, refusal: undefined }
}

const isSameIdentity = (a: Identity, b: Identity): boolean =>
  a.namespace === b.namespace && a.type === b.type && a.sourceUrl === b.sourceUrl && a.name === b.name

/** Refusals by what the upload is, in the order in which the server looks. */
const refuseConversion = (
  world: World,
  actor: string,
  upload: Upload | undefined,
  identity: Identity,
  expected: Refusal,
): Refusal => {
  if (!upload || !world.ownsUpload(actor, upload)) return 'upload_not_found'
  if (upload.state === 'open') return upload.data === '' ? 'upload_empty' : expected
  const { conversion } = upload
  if (!conversion || !isSameIdentity(conversion.identity, identity)) return 'upload_not_found'
  if (!world.isReadable(actor, conversion.artifact)) return 'upload_not_found'
  return conversion.artifact.versions.has(conversion.index) ? expected : undefined
}

const findUpload = (stage: Stage, actor: string, pick: number): Upload | undefined => {
  const upload = at(stage.world.uploads, pick)
  return upload && stage.world.ownsUpload(actor, upload) && upload.state === 'open' ? upload : undefined
}

const uuidOf = (stage: Stage, pick: number): string => at(stage.world.uploads, pick)?.uuid ?? nowhere

export const uploadSteps = {
  createUpload: async (stage, actor, { a }) => {
    const declared = a % 4 === 0 ? a % 40 : undefined
    const answer = await stage.ask(actor, 'POST', '/upload', { json: { size: declared } })
    settled('create an upload', answer, undefined)
    stage.world.uploads.push({
      uuid: answer.json.uuid,
      namespace: actor,
      declared,
      data: '',
      state: 'open',
      lastDataAt: stage.world.now,
    })
  },

  append: async (stage, actor, { a, b, c }) => {
    const upload = findUpload(stage, actor, a)
    const part = at(stage.contents, b)!
    const offset = c % 2 === 0 ? undefined : (upload?.data.length ?? 0) + (c % 5 === 1 ? 1 : 0)
    const answer = await stage.ask(actor, 'POST', `/upload/${uuidOf(stage, a)}`, {
      body: part,
      headers: offset === undefined ? {} : { 'Upload-Offset': `${offset}` },
    })
    let refusal: Refusal
    if (!upload) refusal = 'upload_not_found'
    else if (offset !== undefined && offset !== upload.data.length) refusal = 'offset_mismatch'
    else if (upload.data.length + part.length > (upload.declared ?? Number.POSITIVE_INFINITY))
      refusal = 'size_exceeds_declared'
    if (!settled('append', answer, refusal)) {
      if (refusal === 'offset_mismatch')
        expectEqual('Upload-Offset', answer.headers['upload-offset'], `${upload!.data.length}`)
      return
    }
    upload!.data += part
    upload!.lastDataAt = stage.world.now
    expectEqual('size after an append', answer.json, upload!.data.length)
  },

  truncate: async (stage, actor, { a, b }) => {
    const upload = findUpload(stage, actor, a)
    const size = b % 60
    const answer = await stage.ask(actor, 'POST', `/upload/${uuidOf(stage, a)}/truncate/${size}`)
    let refusal: Refusal
    if (!upload) refusal = 'upload_not_found'
    else if (size > upload.data.length) refusal = 'truncate_out_of_range'
    if (settled('truncate', answer, refusal)) upload!.data = upload!.data.slice(0, size)
  },

  deleteUpload: async (stage, actor, { a }) => {
    const upload = findUpload(stage, actor, a)
    const answer = await stage.ask(actor, 'DELETE', `/upload/${uuidOf(stage, a)}`)
    if (settled('delete an upload', answer, upload ? undefined : 'upload_not_found')) upload!.state = 'gone'
  },

  /** The whole way in, as without it few sequences would come to a version. */
  publish: async (stage, actor, step) => {
    await uploadSteps.createUpload(stage, actor, { ...step, a: 1 })
    const last = stage.world.uploads.length - 1
    await uploadSteps.append(stage, actor, { ...step, a: last, b: step.a, c: 0 })
    await uploadSteps.convert(stage, actor, { ...step, a: last })
  },

  convert: async (stage, actor, step) => {
    const { world } = stage
    const upload = at(world.uploads, step.a)
    const { name, wish, identity, refusal } = convertTo(stage, actor, step)
    const { conversion } = upload ?? {}
    const content = conversion
      ? (conversion.artifact.versions.get(conversion.index)?.content ?? '')
      : (upload?.data ?? '')
    const expected = expectation(content, step.d)
    const answer = await stage.ask(actor, 'POST', `/artifacts/upload/${encodeURIComponent(name)}`, {
      json: { upload_uuid: uuidOf(stage, step.a), ...wish, name: undefined, ...expected.fields },
    })
    const why = refusal ?? refuseConversion(world, actor, upload, identity, expected.refusal)
    if (!settled('convert', answer, why)) return
    let artifact = conversion?.artifact
    if (!artifact) {
      const given = { uuid: answer.json.uuid, blobUuid: answer.json.blob_uuid }
      const made = world.addVersion(identity, upload!.data, given, { shared: wish.shared ?? false })
      upload!.state = 'gone'
      upload!.conversion = { identity, ...made, at: world.now }
      artifact = made.artifact
    }
    same(stage, actor, artifact, step, answer)
  },

  convertBlob: async (stage, actor, step) => {
    const { world } = stage
    const content = at(stage.contents, step.a)!
    const { name, wish, identity, refusal } = convertTo(stage, actor, step)
    const expected = expectation(content, step.d)
    const answer = await stage.ask(actor, 'POST', `/artifacts/upload/${encodeURIComponent(name)}`, {
      json: {
        blob_uuid: world.uuids.get(content) ?? nowhere,
        ...wish,
        name: undefined,
        ...expected.fields,
      },
    })
    const why = refusal ?? (world.findBlob(actor, content) ? expected.refusal : 'blob_not_found')
    if (!settled('convert a blob', answer, why)) return
    const given = { uuid: answer.json.uuid, blobUuid: answer.json.blob_uuid }
    const { artifact } = world.addVersion(identity, content, given, { shared: wish.shared ?? false })
    same(stage, actor, artifact, step, answer)
  },
} satisfies Record<string, Do>
