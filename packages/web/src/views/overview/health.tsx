import { commands } from '../../commands.ts'
import { count, number, size } from '../../format.ts'
import { useLoad } from '../../load.ts'
import { Command } from '../../parts/copy-button.tsx'
import { Ago, Size } from '../../parts/facts.tsx'
import { Loading } from '../../parts/loading.tsx'
import { Table } from '../../parts/table.tsx'
import { Tiles } from '../../parts/tiles.tsx'
import { useSession } from '../../session.ts'

const refreshMs = 10_000
const shown = 20

/** How far verification has come, and which blobs are damaged: for the administrator. */
export const StoreHealth = () => {
  const { client } = useSession()
  const loaded = useLoad(
    async (signal) => {
      const [verification, quarantine, { newest }] = await Promise.all([
        client.call('showVerification', {}, { signal }),
        client.call('listQuarantine', { query: { limit: shown } }, { signal }),
        client.call('showStoreUsage', { query: { since: Date.now() / 1000 } }, { signal }),
      ])
      return { verification, quarantine, stored: newest?.stored_bytes ?? 0 }
    },
    [],
    { everyMs: refreshMs },
  )
  return (
    <section aria-labelledby="verification">
      <h2 id="verification">Verification</h2>
      <Loading of={loaded}>
        {({ verification, quarantine, stored }) => (
          <>
            <Progress due={verification.due.bytes} stored={stored} />
            <Tiles
              of={{
                'Damaged blobs': number(verification.quarantined),
                'Still to be read': `${size(verification.due.bytes)} in ${count(verification.due.blobs, 'blob')}`,
                'Never read yet': number(verification.unverified),
                'Longest not read since':
                  verification.oldest_at === null ? '–' : <Ago at={verification.oldest_at} />,
              }}
            />
            {quarantine.length > 0 && (
              <Table
                label="Damaged blobs"
                columns={['Blob', '#Size', 'Why', 'Since', '#References']}
                none=""
                rows={quarantine.map((blob) => ({
                  key: blob.blob_uuid,
                  cells: [
                    <code>{blob.blob_uuid}</code>,
                    <Size bytes={blob.size} />,
                    blob.reason,
                    blob.since === null ? '–' : <Ago at={blob.since} />,
                    number(blob.reference_count),
                  ],
                }))}
              />
            )}
          </>
        )}
      </Loading>
      <Command text={commands.quarantine()} />
    </section>
  )
}

const Progress = ({ due, stored }: { due: number; stored: number }) => {
  if (stored === 0) return null
  const part = Math.max(0, 1 - due / stored)
  return (
    <p class="row">
      <progress value={part} max={1} aria-label="Verified within the interval" />
      <span>{Math.floor(part * 100)} % of the stored bytes are verified as often as they should be</span>
    </p>
  )
}
