/**
 * Every route's name, method and path: the only part of the contract that a client needs at run time.
 * `contract.ts` says the rest about each name. Paths use `{param}` as OpenAPI does.
 */
export const paths = {
  // Without a token
  showRoot: 'GET /',
  showHealth: 'GET /healthz',
  showReadiness: 'GET /readyz',
  showMetrics: 'GET /metrics',
  showOpenapi: 'GET /openapi.json',
  authenticate: 'POST /auth',

  // Namespaces
  listNamespaces: 'GET /auth/namespaces',
  createNamespace: 'POST /auth/namespaces',
  showNamespace: 'GET /auth/namespaces/{namespace}',
  deleteNamespace: 'DELETE /auth/namespaces/{namespace}',
  listKeys: 'GET /auth/namespaces/{namespace}/keys',
  addKey: 'POST /auth/namespaces/{namespace}/keys',
  replaceKey: 'PUT /auth/namespaces/{namespace}/keys',
  replaceNamedKey: 'PUT /auth/namespaces/{namespace}/keys/{key_name}',
  deleteKey: 'DELETE /auth/namespaces/{namespace}/keys/{key_name}',
  addTrust: 'POST /auth/namespaces/{namespace}/trust',
  removeTrust: 'DELETE /auth/namespaces/{namespace}/trust/{external_namespace}',
  showNamespaceMetadata: 'GET /auth/namespaces/{namespace}/metadata',
  addNamespaceMetadata: 'POST /auth/namespaces/{namespace}/metadata',
  setNamespaceMetadata: 'PUT /auth/namespaces/{namespace}/metadata/{key}',
  deleteNamespaceMetadata: 'DELETE /auth/namespaces/{namespace}/metadata/{key}',
  showUsage: 'GET /auth/namespaces/{namespace}/usage',
  setLimits: 'PUT /auth/namespaces/{namespace}/limits',

  // Uploads
  createUpload: 'POST /upload',
  listUploads: 'GET /upload',
  appendUpload: 'POST /upload/{upload_uuid}',
  showUpload: 'GET /upload/{upload_uuid}',
  headUpload: 'HEAD /upload/{upload_uuid}',
  deleteUpload: 'DELETE /upload/{upload_uuid}',
  truncateUpload: 'POST /upload/{upload_uuid}/truncate/{size}',

  // Artifacts
  listArtifacts: 'GET /artifacts',
  fetchArtifact: 'POST /artifacts',
  deleteArtifacts: 'DELETE /artifacts',
  convertUpload: 'POST /artifacts/upload/{name}',
  showArtifact: 'GET /artifacts/{artifact_ref}',
  deleteArtifact: 'DELETE /artifacts/{artifact_ref}',
  listVersions: 'GET /artifacts/{artifact_ref}/versions',
  setMaxVersions: 'POST /artifacts/{artifact_ref}/versions',
  deleteVersion: 'DELETE /artifacts/{artifact_ref}/versions/{index}',
  shareArtifact: 'POST /artifacts/{artifact_ref}/share',
  unshareArtifact: 'POST /artifacts/{artifact_ref}/unshare',
  listArtifactEvents: 'GET /artifacts/{artifact_ref}/events',
  showArtifactMetadata: 'GET /artifacts/{artifact_ref}/metadata',
  addArtifactMetadata: 'POST /artifacts/{artifact_ref}/metadata',
  setArtifactMetadata: 'PUT /artifacts/{artifact_ref}/metadata/{key}',
  deleteArtifactMetadata: 'DELETE /artifacts/{artifact_ref}/metadata/{key}',

  // Labels
  updateLabel: 'POST /label/{name}',
  showLabel: 'GET /label/{name}',
  deleteLabel: 'DELETE /label/{name}',
  updateNamespacedLabel: 'POST /label/{namespace}/{name}',
  showNamespacedLabel: 'GET /label/{namespace}/{name}',
  deleteNamespacedLabel: 'DELETE /label/{namespace}/{name}',

  // Blobs
  listBlobs: 'GET /blobs',
  showBlob: 'GET /blobs/{blob_uuid}',
  readBlob: 'GET /blobs/{blob_uuid}/data',
  headBlobData: 'HEAD /blobs/{blob_uuid}/data',
  showBlobChecksum: 'GET /blobs/{blob_uuid}/checksum/{algorithm}',
  listBlobEvents: 'GET /blobs/{blob_uuid}/events',
  showBlobMetadata: 'GET /blobs/{blob_uuid}/metadata',
  addBlobMetadata: 'POST /blobs/{blob_uuid}/metadata',
  setBlobMetadata: 'PUT /blobs/{blob_uuid}/metadata/{key}',
  deleteBlobMetadata: 'DELETE /blobs/{blob_uuid}/metadata/{key}',
  findBlob: 'GET /blob_checksums/{algorithm}/{hash}',

  // Administration: for the namespace system only
  listJobs: 'GET /admin/jobs',
  showJob: 'GET /admin/jobs/{job}',
  runJob: 'POST /admin/jobs/{job}',
  previewCollection: 'GET /admin/collection',
  explainBlob: 'GET /admin/blobs/{blob_uuid}',
  verifyBlob: 'POST /admin/blobs/{blob_uuid}/verification',
  showBlobVerification: 'GET /admin/blobs/{blob_uuid}/verification',
  verifyAll: 'POST /admin/verification',
  showVerification: 'GET /admin/verification',
  listQuarantine: 'GET /admin/quarantine',
  showStoreUsage: 'GET /admin/usage',
  listFailures: 'GET /admin/failures',
  listNodes: 'GET /nodes',
  forgetNode: 'DELETE /nodes/{node}',
  startBackup: 'POST /admin/backup',
  showBackup: 'GET /admin/backup',
  startCheck: 'POST /admin/check',
  showCheck: 'GET /admin/check',

  // `sf-client namespace clean` empties these two as well; there is never anything in them here (wire contract, B9)
  deleteInstances: 'DELETE /instances',
  deleteNetworks: 'DELETE /networks',
} as const

export type RouteName = keyof typeof paths

/** The method and the path of a route, apart. */
export const splitPath = (name: RouteName): { method: string; path: string } => {
  const [method, path] = paths[name].split(' ') as [string, string]
  return { method, path }
}
