import type { Reply } from '@holdfast/client/browser'
import { useState } from 'preact/hooks'
import { commands } from '../../commands.ts'
import { number, size } from '../../format.ts'
import { useAction, useLoad } from '../../load.ts'
import { Command } from '../../parts/copy-button.tsx'
import { Loading } from '../../parts/loading.tsx'
import { Problem } from '../../parts/problem.tsx'
import { Tiles } from '../../parts/tiles.tsx'
import { useSession } from '../../session.ts'

type Usage = Reply<'showUsage'>
const GiB = 1024 ** 3

const of = (used: string, limit: number, show: (value: number) => string): string =>
  limit === 0 ? `${used}, no limit` : `${used} of ${show(limit)}`

/** What a namespace uses of what it may; the administrator sets the limits. */
export const Limits = ({ name }: { name: string }) => {
  const { client, isSystem } = useSession()
  const loaded = useLoad(
    (signal) => client.call('showUsage', { params: { namespace: name } }, { signal }),
    [name],
  )
  return (
    <section>
      <h2>Limits</h2>
      <Loading of={loaded}>
        {(usage) => (
          <>
            <Tiles
              of={{
                Bytes: of(size(usage.bytes), usage.limits.max_bytes, size),
                Artifacts: of(number(usage.artifacts), usage.limits.max_artifacts, number),
                'Unfinished uploads': of(number(usage.uploads), usage.limits.max_uploads, number),
              }}
            />
            {!isSystem && <Command text={commands.limits(name)} />}
            {isSystem && <LimitsForm usage={usage} onChange={loaded.reload} />}
          </>
        )}
      </Loading>
    </section>
  )
}

const orNone = (limit: string): string => (Number(limit) ? limit : 'none')

const LimitsForm = ({ usage, onChange }: { usage: Usage; onChange: () => void }) => {
  const { client } = useSession()
  const [gib, setGib] = useState(String(usage.limits.max_bytes / GiB))
  const [artifacts, setArtifacts] = useState(String(usage.limits.max_artifacts))
  const [uploads, setUploads] = useState(String(usage.limits.max_uploads))
  const setting = useAction(async () => {
    await client.call('setLimits', {
      params: { namespace: usage.namespace },
      body: {
        max_bytes: Math.round(Number(gib) * GiB),
        max_artifacts: Number(artifacts),
        max_uploads: Number(uploads),
      },
    })
    onChange()
  })
  const field = (label: string, value: string, set: (value: string) => void, step: string) => (
    <label class="grow narrow">
      {label}
      <input
        type="number"
        min="0"
        step={step}
        value={value}
        onInput={(event) => set(event.currentTarget.value)}
        required
      />
    </label>
  )
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault()
        void setting.run()
      }}
    >
      <div class="row">
        {field('GiB', gib, setGib, 'any')}
        {field('Artifacts', artifacts, setArtifacts, '1')}
        {field('Uploads', uploads, setUploads, '1')}
        <button type="submit" aria-busy={setting.isBusy}>
          Set limits
        </button>
      </div>
      <p class="minor">0 is no limit. What is stored already stays.</p>
      <Problem error={setting.error} />
      <Command
        text={commands.limits(
          usage.namespace,
          Number(gib) ? `${gib}GiB` : 'none',
          orNone(artifacts),
          orNone(uploads),
        )}
      />
    </form>
  )
}
