import { commands } from '../../commands.ts'
import { number } from '../../format.ts'
import { useLoad } from '../../load.ts'
import { Command } from '../../parts/copy-button.tsx'
import { Ago } from '../../parts/facts.tsx'
import { Loading } from '../../parts/loading.tsx'
import { Table } from '../../parts/table.tsx'
import { useSession } from '../../session.ts'

const refreshMs = 10_000
const shown = 20

/** Requests that failed of late, jobs whose last run did, and artifacts that could not be fetched. */
export const Failures = () => {
  const { client } = useSession()
  const loaded = useLoad(
    async (signal) => {
      const [refusals, jobs, broken] = await Promise.all([
        client.call('listFailures', {}, { signal }),
        client.call('listJobs', {}, { signal }),
        client.artifacts.list({ state: 'error', sort: '-updated_at', limit: shown }, { signal }),
      ])
      return { refusals, broken, jobs: jobs.filter((job) => job.last_run?.outcome === 'failed') }
    },
    [],
    { everyMs: refreshMs },
  )
  return (
    <section aria-labelledby="failures">
      <h2 id="failures">Recent failures</h2>
      <Loading of={loaded}>
        {({ refusals, jobs, broken }) => (
          <Table
            label="Recent failures"
            columns={['What', 'Who', '#Times', 'Last', 'Why']}
            none="None since the server started."
            rows={[
              ...jobs.map((job) => ({
                key: `job ${job.name}`,
                cells: [
                  `job ${job.name}`,
                  'the server',
                  '1',
                  <Ago at={job.last_run!.started_at} />,
                  job.last_run!.error ?? '',
                ],
              })),
              ...broken.map((artifact) => ({
                key: artifact.uuid,
                cells: [
                  <a href={`#/artifacts/${artifact.uuid}`}>{artifact.name}</a>,
                  artifact.namespace,
                  '1',
                  <Ago at={artifact.updated_at} />,
                  artifact.error ?? '',
                ],
              })),
              ...refusals.slice(0, shown).map((failure) => ({
                key: `${failure.route} ${failure.code} ${failure.namespace}`,
                cells: [
                  words(failure.route),
                  failure.namespace || 'nobody signed in',
                  number(failure.count),
                  <Ago at={failure.last_at} />,
                  <span title={`Request ${failure.request_id}`}>
                    {failure.message} ({failure.status})
                  </span>,
                ],
              })),
            ]}
          />
        )}
      </Loading>
      <Command text={commands.failures()} />
    </section>
  )
}

/** `appendUpload` as `append upload`. */
const words = (route: string): string =>
  route === 'authenticate' ? 'sign in' : route.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`)
