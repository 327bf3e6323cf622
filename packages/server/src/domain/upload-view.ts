/**
 * Uploads as they travel on the wire.
 */
import type { UploadView } from '@holdfast/api/schemas'
import type { UploadStatus } from '../blobs/upload-files.ts'
import type { Config } from '../config.ts'
import type { Row } from '../db/schema.ts'

/** The version of this view's form, as the original counts it. */
const viewVersion = 3

/** The view of an upload: what SQL knows of it and what its file says. */
export const uploadView = (
  row: Row<'uploads'>,
  status: Pick<UploadStatus, 'size' | 'lastDataAt'>,
  config: Pick<Config, 'uploadExpiry'>,
): UploadView => ({
  uuid: row.uuid,
  state: 'created',
  metadata: {},
  version: viewVersion,
  node: row.node,
  created_at: row.created_at / 1000,
  namespace: row.namespace,
  size: status.size,
  declared_size: row.declared_size,
  last_data_at: status.lastDataAt / 1000,
  expires_at: status.lastDataAt / 1000 + config.uploadExpiry,
})
