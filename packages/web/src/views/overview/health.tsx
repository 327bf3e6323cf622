import { commands } from '../../commands.ts'
import { number, size } from '../../format.ts'
import { useLoad } from '../../load.ts'
import { Command } from '../../parts/copy-button.tsx'
import { Ago, Size } from '../../parts/facts.tsx'
import { Loading } from '../../parts/loading.tsx'
import { Table } from '../../parts/table.tsx'
import { Tiles } from '../../parts/tiles.tsx'
import { useSession } from '../../session.ts'

const refreshMs = 10_000

/** Verification, damaged blobs and failures: for the administrator. */
export const StoreHealth = () => {
  const { client } = useSession()
  const loaded = useLoad(
    async (signal) => {
      const [verification, quarantine, jobs, broken] = await Promise.all([
        client.call('showVerification', {}, { signal }),
        client.call('listQuarantine', { query: { limit: 20 } }, { signal }),
        client.call('listJobs', {}, { signal }),
        client.artifacts.list({ state: 'error', limit: 20 }, { signal }),
      ])
      return {
        verification,
        quarantine,
        broken,
        failed: jobs.filter((job) => job.last_run?.outcome === 'failed'),
      }
    },
    [],
    { everyMs: refreshMs },
  )
  return (
    <Loading of={loaded}>
      {({ verification, quarantine, broken, failed }) => (
        <>
          <section>
            <h2>Verification</h2>
            <Tiles
              of={{
                'Damaged blobs': number(verification.quarantined),
                'Still to be read': `${size(verification.due.bytes)} in ${number(verification.due.blobs)}`,
                'Never read yet': number(verification.unverified),
                'Longest unread since':
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
            <Command text={commands.quarantine()} />
          </section>
          <section>
            <h2>Recent failures</h2>
            <Table
              label="Recent failures"
              columns={['What', 'When', 'Why']}
              none="None."
              rows={[
                ...failed.map((job) => ({
                  key: job.name,
                  cells: [
                    `job ${job.name}`,
                    <Ago at={job.last_run!.started_at} />,
                    job.last_run!.error ?? '',
                  ],
                })),
                ...broken.map((artifact) => ({
                  key: artifact.uuid,
                  cells: [
                    <a href={`#/artifacts/${artifact.uuid}`}>{artifact.name}</a>,
                    <Ago at={artifact.updated_at} />,
                    artifact.error ?? '',
                  ],
                })),
              ]}
            />
          </section>
        </>
      )}
    </Loading>
  )
}
