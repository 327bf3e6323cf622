import { commands } from '../commands.ts'
import { size } from '../format.ts'
import { useAction } from '../load.ts'
import { CommandButton } from '../parts/copy-button.tsx'
import { Ago } from '../parts/facts.tsx'
import { Problem } from '../parts/problem.tsx'
import { useSession } from '../session.ts'
import { giveUp, type Unfinished } from './unfinished.ts'

interface UnfinishedListProps {
  readonly entries: readonly Unfinished[]
  readonly onChange: () => void
}

/** Uploads that were interrupted with their tab. */
export const UnfinishedList = ({ entries, onChange }: UnfinishedListProps) => {
  const { client } = useSession()
  const dropping = useAction(async ({ key, record }: Unfinished) => {
    await giveUp(client, record.uploadUuid, key)
    onChange()
  })
  return (
    <section class="panel" aria-labelledby="unfinished">
      <h2 id="unfinished">Interrupted</h2>
      <p>Choose the same file again, and its upload goes on where it was.</p>
      <Problem error={dropping.error} />
      <ul class="plain">
        {entries.map((entry) => {
          const { record } = entry
          return (
            <li key={entry.key} class="task-header">
              <strong>{record.source.id}</strong>
              <span class="minor">
                to {record.target.name}, about {size(record.acknowledged)} of {size(record.source.size)} sent,
                begun <Ago at={record.createdAt / 1000} />
              </span>
              <span class="task-actions">
                <button type="button" class="small secondary" onClick={() => dropping.run(entry)}>
                  Give up
                </button>
                <CommandButton text={commands.uploadAbort(record.uploadUuid)} />
              </span>
            </li>
          )
        })}
      </ul>
    </section>
  )
}
