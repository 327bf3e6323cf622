/** What the store holds over time, and what went wrong of late: for the administrator. */
import type { Reply } from '@holdfast/client'
import { localTime } from './python.ts'
import type { Shape } from './shape.ts'
import { simpleRows, table } from './table.ts'
import { size } from './units.ts'

type Text = Exclude<Shape, 'json'>

const sampleNames = [
  'time',
  'stored',
  'logical',
  'saved',
  'unreferenced',
  'uploads',
  'free',
  'artifacts',
  'versions',
]

/** `admin usage`. */
export const usageList = ({ samples }: Reply<'showStoreUsage'>, shape: Text): string => {
  const bytes = (value: number) => (shape === 'simple' ? value : size(value))
  const lines = samples.map((sample) => [
    localTime(sample.at),
    bytes(sample.stored_bytes),
    bytes(sample.logical_bytes),
    bytes(sample.saved_bytes),
    bytes(sample.unreferenced_bytes),
    bytes(sample.upload_bytes),
    bytes(sample.free_bytes),
    sample.artifacts,
    sample.versions,
  ])
  return shape === 'simple' ? simpleRows(sampleNames.join(','), lines) : table(sampleNames, lines)
}

const failureNames = ['last', 'count', 'route', 'namespace', 'code', 'status', 'request', 'message']

/** `admin failures`. */
export const failureList = (failures: Reply<'listFailures'>, shape: Text): string => {
  const lines = failures.map((failure) => [
    localTime(failure.last_at),
    failure.count,
    failure.route,
    failure.namespace,
    failure.code,
    failure.status,
    failure.request_id,
    // Commas part the values of --simple
    failure.message.replaceAll(',', shape === 'simple' ? ';' : ','),
  ])
  return shape === 'simple' ? simpleRows(failureNames.join(','), lines) : table(failureNames, lines)
}
