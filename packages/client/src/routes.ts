/** The routes in groups, under short names. Nothing is decided here; `call` does the work. */
import type { Body, Params, Query } from '@holdfast/api/contract'
import type { EventView, MetadataQuery } from '@holdfast/api/schemas'
import { call, callLoosely } from './calls.ts'
import type { Session } from './session.ts'
import type { CallOptions } from './types.ts'

/** Which events are wanted; without a limit the newest 100. */
export interface EventFilter {
  readonly eventType?: string | undefined
  readonly limit?: number | undefined
}

/** The metadata of one kind of object. */
const metadataRoutes = (
  session: Session,
  kind: 'Artifact' | 'Blob' | 'Namespace',
  param: 'artifact_ref' | 'blob_uuid' | 'namespace',
) => ({
  show: async (ref: string, options?: CallOptions) => {
    const reply = await callLoosely(session, `show${kind}Metadata`, { params: { [param]: ref } }, options)
    return reply as Record<string, unknown>
  },
  /** Sets one value, whether or not the key exists. */
  set: async (ref: string, key: string, value: unknown, options?: CallOptions): Promise<void> => {
    const input = { params: { [param]: ref, key }, body: { value } }
    await callLoosely(session, `set${kind}Metadata`, input, options)
  },
  /** Deletes one value; a missing one is fine. */
  delete: async (ref: string, key: string, options?: CallOptions): Promise<void> => {
    await callLoosely(session, `delete${kind}Metadata`, { params: { [param]: ref, key } }, options)
  },
})

/**
 * Events, filtered. Servers with `paged-lists` take the filter as query parameters; the original wants it in the body
 * of the GET, which a browser cannot send, so it is applied to the answer as well.
 */
const listEvents = async (
  session: Session,
  route: 'listArtifactEvents' | 'listBlobEvents',
  params: object,
  filter: EventFilter,
  options?: CallOptions,
): Promise<EventView[]> => {
  const { eventType, limit } = filter
  const asked = {
    ...(eventType === undefined ? {} : { event_type: eventType }),
    ...(limit === undefined ? {} : { limit }),
  }
  const words = await session.capabilities()
  const input = words.has('paged-lists') ? { params, query: asked } : { params, body: asked }
  const events = (await callLoosely(session, route, input, options)) as EventView[]
  return events.filter((event) => eventType === undefined || event.type === eventType).slice(0, limit)
}

const artifactRoutes = (session: Session) => {
  const by = (artifact_ref: string) => ({ params: { artifact_ref } })
  return {
    list: (query?: Query<'listArtifacts'> & MetadataQuery, options?: CallOptions) =>
      call(session, 'listArtifacts', { query }, options),
    /** Lists what is on one node, as the original understands it. Ignored where the transport cannot say it. */
    listOnNode: (node: string | null, options?: CallOptions) =>
      call(session, 'listArtifacts', { body: { node } }, options),
    show: (ref: string, options?: CallOptions) => call(session, 'showArtifact', by(ref), options),
    versions: (ref: string, options?: CallOptions) => call(session, 'listVersions', by(ref), options),
    setMaxVersions: (ref: string, max: number, options?: CallOptions) =>
      call(session, 'setMaxVersions', { ...by(ref), body: { max_versions: max } }, options),
    delete: (ref: string, options?: CallOptions) => call(session, 'deleteArtifact', by(ref), options),
    /** Deletes every artifact of a namespace. */
    deleteAll: (namespace?: string, options?: CallOptions) =>
      call(session, 'deleteArtifacts', { body: { confirm: true, namespace: namespace ?? null } }, options),
    deleteVersion: (ref: string, index: number, options?: CallOptions) =>
      call(session, 'deleteVersion', { params: { artifact_ref: ref, index } }, options),
    share: (ref: string, options?: CallOptions) => call(session, 'shareArtifact', by(ref), options),
    unshare: (ref: string, options?: CallOptions) => call(session, 'unshareArtifact', by(ref), options),
    events: (ref: string, filter: EventFilter = {}, options?: CallOptions) =>
      listEvents(session, 'listArtifactEvents', { artifact_ref: ref }, filter, options),
    /** Lets the server fetch an image from a URL. */
    fetch: (body: Body<'fetchArtifact'>, options?: CallOptions) =>
      call(session, 'fetchArtifact', { body }, options),
    /** Turns an upload or a blob into a version. `upload()` does this by itself. */
    convert: (name: string, body: Body<'convertUpload'>, options?: CallOptions) =>
      call(session, 'convertUpload', { params: { name }, body }, options),
    metadata: metadataRoutes(session, 'Artifact', 'artifact_ref'),
  }
}

const labelRoutes = (session: Session) => {
  /** `namespace` undefined means one's own. */
  return {
    update: (name: string, body: Body<'updateLabel'>, namespace?: string, options?: CallOptions) =>
      namespace === undefined
        ? call(session, 'updateLabel', { params: { name }, body }, options)
        : call(session, 'updateNamespacedLabel', { params: { namespace, name }, body }, options),
    show: (name: string, namespace?: string, options?: CallOptions) =>
      namespace === undefined
        ? call(session, 'showLabel', { params: { name } }, options)
        : call(session, 'showNamespacedLabel', { params: { namespace, name } }, options),
    delete: (name: string, namespace?: string, options?: CallOptions) =>
      namespace === undefined
        ? call(session, 'deleteLabel', { params: { name } }, options)
        : call(session, 'deleteNamespacedLabel', { params: { namespace, name } }, options),
  }
}

const blobRoutes = (session: Session) => {
  const by = (blob_uuid: string) => ({ params: { blob_uuid } })
  return {
    list: (query?: Query<'listBlobs'> & MetadataQuery, options?: CallOptions) =>
      call(session, 'listBlobs', { query }, options),
    show: (uuid: string, options?: CallOptions) => call(session, 'showBlob', by(uuid), options),
    checksum: (uuid: string, algorithm: string, options?: CallOptions) =>
      call(session, 'showBlobChecksum', { params: { blob_uuid: uuid, algorithm } }, options),
    /** The blob with this digest, or null. */
    find: (params: Params<'findBlob'>, options?: CallOptions) =>
      call(session, 'findBlob', { params }, options),
    events: (uuid: string, filter: EventFilter = {}, options?: CallOptions) =>
      listEvents(session, 'listBlobEvents', { blob_uuid: uuid }, filter, options),
    metadata: metadataRoutes(session, 'Blob', 'blob_uuid'),
  }
}

const namespaceRoutes = (session: Session) => {
  const by = (namespace: string) => ({ params: { namespace } })
  return {
    list: (options?: CallOptions) => call(session, 'listNamespaces', {}, options),
    create: (body: Body<'createNamespace'>, options?: CallOptions) =>
      call(session, 'createNamespace', { body }, options),
    show: (namespace: string, options?: CallOptions) =>
      call(session, 'showNamespace', by(namespace), options),
    delete: (namespace: string, options?: CallOptions) =>
      call(session, 'deleteNamespace', by(namespace), options),
    keys: (namespace: string, options?: CallOptions) => call(session, 'listKeys', by(namespace), options),
    /** Adds a key, or replaces the one with this name. */
    addKey: (namespace: string, name: string, key: string, options?: CallOptions) =>
      call(session, 'addKey', { ...by(namespace), body: { key_name: name, key } }, options),
    /** Replaces an existing key; the original server does not know this. */
    replaceKey: (namespace: string, name: string, key: string, options?: CallOptions) =>
      call(session, 'replaceNamedKey', { params: { namespace, key_name: name }, body: { key } }, options),
    deleteKey: (namespace: string, name: string, options?: CallOptions) =>
      call(session, 'deleteKey', { params: { namespace, key_name: name } }, options),
    addTrust: (namespace: string, external: string, options?: CallOptions) =>
      call(session, 'addTrust', { ...by(namespace), body: { external_namespace: external } }, options),
    removeTrust: (namespace: string, external: string, options?: CallOptions) =>
      call(session, 'removeTrust', { params: { namespace, external_namespace: external } }, options),
    metadata: metadataRoutes(session, 'Namespace', 'namespace'),
  }
}

const uploadRoutes = (session: Session) => {
  const by = (upload_uuid: string) => ({ params: { upload_uuid } })
  return {
    create: (size?: number, options?: CallOptions) =>
      call(session, 'createUpload', { body: size === undefined ? {} : { size } }, options),
    /** One's own uploads (`upload-status`). */
    list: (options?: CallOptions) => call(session, 'listUploads', {}, options),
    /** How far an upload has come (`upload-status`). */
    show: (uuid: string, options?: CallOptions) => call(session, 'showUpload', by(uuid), options),
    /** Gives an upload up (`upload-status`). */
    delete: (uuid: string, options?: CallOptions) => call(session, 'deleteUpload', by(uuid), options),
    truncate: (uuid: string, size: number, options?: CallOptions) =>
      call(session, 'truncateUpload', { params: { upload_uuid: uuid, size } }, options),
  }
}

/** All groups of a client. */
export const routeGroups = (session: Session) => ({
  artifacts: artifactRoutes(session),
  labels: labelRoutes(session),
  blobs: blobRoutes(session),
  namespaces: namespaceRoutes(session),
  uploads: uploadRoutes(session),
})
