/**
 * Routes of labels, of the own namespace and of a named one.
 */
import type { Body } from '@holdfast/api/contract'
import { deleteLabel, showLabel, updateLabel } from '../../domain/labels.ts'
import type { Handlers } from '../handlers.ts'

const readUpdate = ({ blob_uuid, max_versions }: Body<'updateLabel'>) => ({
  blobUuid: blob_uuid,
  maxVersions: max_versions == null ? undefined : Number(max_versions),
})

export const labelHandlers = {
  updateLabel: (parts, { caller, params, body }) => updateLabel(parts, caller, params, readUpdate(body)),

  showLabel: (parts, { caller, params }) => showLabel(parts, caller, params),

  deleteLabel: (parts, { caller, params }) => deleteLabel(parts, caller, params),

  updateNamespacedLabel: (parts, { caller, params, body }) =>
    updateLabel(parts, caller, params, readUpdate(body)),

  showNamespacedLabel: (parts, { caller, params }) => showLabel(parts, caller, params),

  deleteNamespacedLabel: (parts, { caller, params }) => deleteLabel(parts, caller, params),
} satisfies Pick<
  Handlers,
  | 'updateLabel'
  | 'showLabel'
  | 'deleteLabel'
  | 'updateNamespacedLabel'
  | 'showNamespacedLabel'
  | 'deleteNamespacedLabel'
>
