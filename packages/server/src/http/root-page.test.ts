import { holdfastCapabilities, originalCapabilities } from '@holdfast/api/capabilities'
import { expect, test } from 'vitest'
import { rootPage } from './root-page.ts'

const page = rootPage('')

/** Other words that clients of the original search pages for (`shakenfist-client` 0.8.3). */
const foreignWords = [
  'agentoperations-crud',
  'blob-data-limit',
  'cluster-cacert',
  'cluster-operation-chain',
  'cluster-operations-by-target',
  'cluster-resources',
  'extra-dns-entries',
  'get-cluster-operations',
  'get-instance-namespace',
  'get-network-namespace',
  'hot-plug-interface',
  'instance-agentoperations',
  'instance-execute',
  'instance-get',
  'instance-put-blob',
  'instance-screenshot',
  'interface-metadata',
  'list-addresses',
  'network-delete-async',
  'node-get',
  'node-metadata',
  'node-process-metrics',
  'provide-dns',
  'route-addresses',
  'vdi-console-helper',
  'vdi-console-proxy',
]

test('the page claims every capability there is, and none that belongs to others', () => {
  for (const word of [...originalCapabilities, ...holdfastCapabilities]) expect(page).toContain(word)
  for (const word of foreignWords) expect(page).not.toContain(word)
})

test('the page loads nothing from elsewhere', () => {
  expect(page).not.toMatch(/<(script|img|link|iframe)\b/)
  expect(page).not.toMatch(/(href|src)="(https?:|\/)/)
})

test('links lead below the path that stands in front', () => {
  const links = [...rootPage('/api').matchAll(/href="([^"]+)"/g)].map((match) => match[1])
  expect(links).toEqual(['/api/ui/', '/api/apidocs', '/api/openapi.json', '/api/readyz'])
})
