import { commands } from '../../commands.ts'
import { count, duration, inLocalTime, size } from '../../format.ts'
import { useAction, useLoad } from '../../load.ts'
import { Command, CommandButton } from '../../parts/copy-button.tsx'
import { Ago, Badge, Size } from '../../parts/facts.tsx'
import { Loading } from '../../parts/loading.tsx'
import { Problem } from '../../parts/problem.tsx'
import { Table } from '../../parts/table.tsx'
import { useSession } from '../../session.ts'

const refreshMs = 5000
/** Seconds that a run may take before the button is free again; it goes on all the same. */
const waitSeconds = 5

const reportText = (report: Readonly<Record<string, number>> | undefined): string =>
  Object.entries(report ?? {})
    .filter(([, figure]) => figure > 0)
    .map(([what, figure]) => `${what} ${figure}`)
    .join(', ') || 'nothing to do'

/** `at`: seconds since 1970, or null when it runs only when asked to. One that is due has not run "just now". */
const nextRun = (at: number | null) => (at === null ? '–' : at * 1000 <= Date.now() ? 'now' : <Ago at={at} />)

/** The housekeeping, and what collection would remove. */
export const Jobs = () => {
  const { client } = useSession()
  const loaded = useLoad((signal) => client.call('listJobs', {}, { signal }), [], { everyMs: refreshMs })
  const running = useAction((job: string) =>
    client.call('runJob', { params: { job }, body: { wait: waitSeconds } }),
  )
  return (
    <>
      <section>
        <h2>Jobs</h2>
        <Problem error={running.error} />
        <Loading of={loaded}>
          {(jobs) => (
            <Table
              label="Jobs"
              columns={['Job', 'Last run', 'Outcome', 'Next run', '']}
              none="None."
              rows={jobs.map((job) => ({
                key: job.name,
                cells: [
                  job.name,
                  job.last_run === null ? (
                    '–'
                  ) : (
                    <span>
                      <Ago at={job.last_run.started_at} />
                      {job.last_run.duration >= 1 && `, took ${duration(job.last_run.duration)}`}
                    </span>
                  ),
                  job.is_running ? (
                    <Badge>running</Badge>
                  ) : job.last_run?.outcome === 'failed' ? (
                    <Badge>failed</Badge>
                  ) : job.last_run === null ? (
                    '–'
                  ) : (
                    reportText(job.last_run.report)
                  ),
                  nextRun(job.next_run_at),
                  <>
                    <button
                      type="button"
                      class="small"
                      aria-label={`Run now: ${job.name}`}
                      disabled={running.isBusy}
                      onClick={async () => (await running.run(job.name)) && loaded.reload()}
                    >
                      Run now
                    </button>
                    <CommandButton text={commands.runJob(job.name)} />
                  </>,
                ],
              }))}
            />
          )}
        </Loading>
        <Command text={commands.jobs()} />
      </section>
      <DryRun />
    </>
  )
}

const DryRun = () => {
  const { client } = useSession()
  const loaded = useLoad(
    (signal) => client.call('previewCollection', { query: { limit: 50 } }, { signal }),
    [],
  )
  return (
    <section>
      <h2>What collection would remove</h2>
      <Loading of={loaded}>
        {({ due, blobs, leftover_files }) => (
          <>
            <p>
              The next run removes {count(due.blobs, 'blob')} ({size(due.bytes)}) and{' '}
              {count(leftover_files, 'leftover file')}. Nothing changes by looking.
            </p>
            <Table
              label="Blobs that nothing refers to"
              columns={['Blob', '#Size', 'Unreferenced', 'May go', 'Why']}
              none="Every blob is referred to."
              rows={blobs.map((blob) => ({
                key: blob.uuid,
                cells: [
                  <code>{blob.uuid.slice(0, 8)}</code>,
                  <Size bytes={blob.size} />,
                  <Ago at={blob.unreferenced_at} />,
                  <Ago at={blob.collectable_at} />,
                  inLocalTime(blob.reason),
                ],
              }))}
            />
          </>
        )}
      </Loading>
      <button type="button" class="small secondary" onClick={loaded.reload}>
        Look again
      </button>
      <Command text={commands.dryRun()} />
    </section>
  )
}
