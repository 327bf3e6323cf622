/** `admin nodes`: the servers of a store. */
import type { Reply } from '@holdfast/client'
import { localTime } from './python.ts'
import type { Shape } from './shape.ts'
import { simpleRows, table } from './table.ts'

const names = ['name', 'state', 'uploads', 'started', 'seen', 'version', 'url', 'answers']

export const nodeList = (nodes: Reply<'listNodes'>, shape: Exclude<Shape, 'json'>): string => {
  const lines = nodes.map((node) => [
    node.name,
    node.state,
    node.uploads,
    localTime(node.started_at),
    localTime(node.seen_at),
    node.version,
    node.url,
    node.answers ? 'yes' : 'no',
  ])
  return shape === 'simple' ? simpleRows(names.join(','), lines) : table(names, lines)
}
