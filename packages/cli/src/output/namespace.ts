/** Namespaces in the three shapes of the official client. */
import type { NamespaceView, Reply } from '@holdfast/client'
import { json } from './json.ts'
import { factLines } from './metadata.ts'
import { str } from './python.ts'
import type { Shape } from './shape.ts'
import { simpleRows, table } from './table.ts'
import { size } from './units.ts'

/** `namespace list`. */
export const namespaceList = (namespaces: readonly NamespaceView[], shape: Shape): string => {
  if (shape === 'json') return json(namespaces)
  return shape === 'simple'
    ? simpleRows(
        'name,state',
        namespaces.map((namespace) => [namespace.name, namespace.state]),
      )
    : table(
        ['name', 'state', 'trusted namespaces'],
        namespaces.map(({ name, state, trust }) => [name, state, trust.full.join(' ')]),
      )
}

const pretty = (namespace: NamespaceView): string[] => {
  const metadata = Object.entries(namespace.metadata)
  const width = Math.max(0, ...metadata.map(([key]) => [...key].length))
  return [
    ...(namespace.keys.length > 0
      ? ['Key Names:', ...namespace.keys.map((key) => `    ${str(key)}`), '']
      : []),
    ...(metadata.length > 0
      ? ['Metadata:', ...metadata.map(([key, value]) => `    ${str(key).padEnd(width)}: ${str(value)}`), '']
      : []),
    'Full trust:',
    ...namespace.trust.full.map((name) => `    ${str(name)}`),
  ]
}

const simple = (namespace: NamespaceView): string[] => {
  const metadata = Object.entries(namespace.metadata)
  return [
    'keynames:',
    ...(namespace.keys.length > 0 ? [...namespace.keys.map((key) => `keyname,${str(key)}`), ''] : []),
    ...(metadata.length > 0
      ? ['metadata,key,value', ...metadata.map(([key, value]) => `metadata,${str(key)},${str(value)}`), '']
      : []),
    ...namespace.trust.full.map((name) => `fulltrust,${str(name)}`),
  ]
}

/** `namespace show`. */
export const namespaceDetails = (namespace: NamespaceView, shape: Shape): string => {
  if (shape === 'json') return json(namespace)
  const facts = [
    ['name', namespace.name],
    ['state', namespace.state],
  ] as const
  return [
    ...factLines(facts, shape === 'simple', 14),
    '',
    ...(shape === 'simple' ? simple(namespace) : pretty(namespace)),
  ].join('\n')
}

/** `namespace get-metadata`. The official client prints nothing with `--json`; here it is the object. */
export const namespaceMetadata = (metadata: Readonly<Record<string, unknown>>, shape: Shape): string =>
  shape === 'json' ? json(metadata) : factLines(Object.entries(metadata), shape === 'simple', 12).join('\n')

/** `namespace limits`: what is used of what may be. */
export const limitsText = (
  { namespace, limits, ...usage }: Reply<'showUsage'>,
  shape: Exclude<Shape, 'json'>,
): string => {
  const simple = shape === 'simple'
  const bytes = (value: number) => (simple ? value : size(value))
  const limit = (value: number, show: (value: number) => unknown = String) =>
    value === 0 ? 'none' : show(value)
  const rows = [
    ['bytes', bytes(usage.bytes), limit(limits.max_bytes, bytes)],
    ['artifacts', usage.artifacts, limit(limits.max_artifacts)],
    ['uploads', usage.uploads, limit(limits.max_uploads)],
  ]
  return simple ? simpleRows('what,used,limit', rows) : table([namespace, 'used', 'limit'], rows)
}
