import { useEffect, useRef } from 'preact/hooks'
import { commands } from '../../commands.ts'
import { useLoad } from '../../load.ts'
import { Command } from '../../parts/copy-button.tsx'
import { Ago, Badge } from '../../parts/facts.tsx'
import { Loading } from '../../parts/loading.tsx'
import { useSession } from '../../session.ts'

const shown = 50
const followMs = 3000

/** The history of an artifact as a time line, newest first, that follows while it is looked at. */
export const Events = ({ uuid, onNews }: { uuid: string; onNews: () => void }) => {
  const { client } = useSession()
  const loaded = useLoad((signal) => client.artifacts.events(uuid, { limit: shown }, { signal }), [uuid], {
    everyMs: followMs,
  })
  const newest = loaded.data?.[0]?.timestamp
  const seen = useRef<number>()
  useEffect(() => {
    if (seen.current !== undefined && newest !== undefined && newest > seen.current) onNews()
    seen.current = newest
  }, [newest, onNews])
  return (
    <section aria-labelledby="events">
      <h2 id="events">Events</h2>
      <Loading of={loaded}>
        {(events) => (
          <ol class="timeline">
            {events.map((event) => (
              <li key={`${event.timestamp} ${event.message}`}>
                <span class="minor">
                  <Ago at={event.timestamp} />
                </span>{' '}
                {event.message} {typeof event.extra.key === 'string' && <code>{event.extra.key}</code>}{' '}
                <Badge>{event.type}</Badge>
              </li>
            ))}
          </ol>
        )}
      </Loading>
      <Command text={commands.events(uuid)} />
    </section>
  )
}
