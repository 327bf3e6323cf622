import type { EventView } from '@holdfast/client'
import { json } from './json.ts'
import { localTime } from './python.ts'
import type { Shape } from './shape.ts'
import { simpleRows, table } from './table.ts'

/** `artifact events` and `blob events`. */
export const eventList = (events: readonly EventView[], shape: Shape): string => {
  if (shape === 'json') return json(events)
  const rows = events.map((event) => [
    localTime(event.timestamp),
    event.fqdn,
    event.duration,
    event.message,
    event.extra ?? '',
  ])
  return shape === 'simple'
    ? simpleRows('timestamp,node,duration,message,extra', rows)
    : table(['timestamp', 'node', 'duration', 'message', 'extra'], rows)
}
