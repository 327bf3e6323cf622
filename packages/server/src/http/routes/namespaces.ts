/**
 * Namespaces, their keys and their trusts. Their metadata are in `metadata.ts`.
 */
import { HoldfastError } from '@holdfast/api/errors'
import { deleteKey, listKeys, type NewKey, setKey } from '../../domain/keys.ts'
import { createNamespace, deleteNamespace, listNamespaces, showNamespace } from '../../domain/namespaces.ts'
import { addTrust, removeTrust } from '../../domain/trusts.ts'
import { setLimits, showUsage } from '../../domain/usage.ts'
import type { Handlers } from '../handlers.ts'

export const namespaceHandlers = {
  listNamespaces: (parts, { caller }) => listNamespaces(parts, caller),
  createNamespace: (parts, { caller, body }) =>
    createNamespace(parts, caller, body.namespace, firstKey(body.key_name, body.key)),
  showNamespace: (parts, { caller, params }) => showNamespace(parts, caller, params.namespace),
  deleteNamespace: async (parts, { caller, params }) => {
    await deleteNamespace(parts, caller, params.namespace)
    return null
  },

  listKeys: (parts, { caller, params }) => listKeys(parts, caller, params.namespace),
  addKey: (parts, { caller, params, body }) =>
    setKey(parts, caller, params.namespace, { keyName: body.key_name, key: body.key }, 'add or replace'),
  replaceKey: (parts, { caller, params, body }) =>
    setKey(parts, caller, params.namespace, { keyName: body.key_name, key: body.key }, 'replace'),
  replaceNamedKey: (parts, { caller, params, body }) =>
    setKey(parts, caller, params.namespace, { keyName: params.key_name, key: body.key }, 'replace'),
  deleteKey: async (parts, { caller, params }) => {
    await deleteKey(parts, caller, params.namespace, params.key_name)
    return null
  },

  addTrust: (parts, { caller, params, body }) =>
    addTrust(parts, caller, params.namespace, body.external_namespace),
  removeTrust: (parts, { caller, params }) =>
    removeTrust(parts, caller, params.namespace, params.external_namespace),

  showUsage: (parts, { caller, params }) => showUsage(parts, caller, params.namespace),
  setLimits: (parts, { caller, params, body }) =>
    setLimits(parts, caller, params.namespace, {
      max_bytes: limit(body.max_bytes),
      max_artifacts: limit(body.max_artifacts),
      max_uploads: limit(body.max_uploads),
    }),
} satisfies Pick<
  Handlers,
  | 'listNamespaces'
  | 'createNamespace'
  | 'showNamespace'
  | 'deleteNamespace'
  | 'listKeys'
  | 'addKey'
  | 'replaceKey'
  | 'replaceNamedKey'
  | 'deleteKey'
  | 'addTrust'
  | 'removeTrust'
  | 'showUsage'
  | 'setLimits'
>

/** Numbers may come as digits; what is absent goes back to the default. */
const limit = (value: number | string | null | undefined): number | null =>
  value === null || value === undefined ? null : Number(value)

/** A key's name needs a key. A key without a name is passed over, as the original does. */
const firstKey = (name: string | null | undefined, key: string | null | undefined): NewKey | undefined => {
  if (name === null || name === undefined) return undefined
  if (key === null || key === undefined) throw new HoldfastError('key_not_specified')
  return { keyName: name, key }
}
