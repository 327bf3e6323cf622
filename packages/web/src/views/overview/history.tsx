import { useState } from 'preact/hooks'
import { commands } from '../../commands.ts'
import { count, size } from '../../format.ts'
import { useLoad } from '../../load.ts'
import { Chart } from '../../parts/chart.tsx'
import { Command } from '../../parts/copy-button.tsx'
import { Ago, Size } from '../../parts/facts.tsx'
import { Loading } from '../../parts/loading.tsx'
import { Tiles } from '../../parts/tiles.tsx'
import { useSession } from '../../session.ts'

const refreshMs = 60_000
const day = 86_400
/** The server keeps all samples for two days, one an hour for 90, one a day for ten years. */
const ranges: Readonly<Record<string, { days: number; span: number }>> = {
  '2 days': { days: 2, span: 0 },
  '90 days': { days: 90, span: 3600 },
  '10 years': { days: 3650, span: day },
}

/** What the store holds, and how that came. */
export const History = () => {
  const { client } = useSession()
  const [range, setRange] = useState('2 days')
  const loaded = useLoad(
    (signal) => {
      const { days, span } = ranges[range]!
      const query = { since: Math.max(0, Date.now() / 1000 - days * day), span }
      return client.call('showStoreUsage', { query }, { signal })
    },
    [range],
    { everyMs: refreshMs },
  )
  return (
    <section aria-labelledby="history">
      <h2 id="history">What the store holds</h2>
      <Loading of={loaded}>
        {({ newest, samples }) =>
          newest === null ? (
            <p class="minor">It is being counted for the first time.</p>
          ) : (
            <>
              <Tiles
                of={{
                  Stored: <Size bytes={newest.stored_bytes} />,
                  'All versions together': <Size bytes={newest.logical_bytes} />,
                  'Deduplication saves': <Saved saved={newest.saved_bytes} logical={newest.logical_bytes} />,
                  'Waiting for collection': <Size bytes={newest.unreferenced_bytes} />,
                  'In unfinished uploads': <Size bytes={newest.upload_bytes} />,
                  'Free on the disk': <Size bytes={newest.free_bytes} />,
                }}
              />
              <div class="row">
                <fieldset class="choice">
                  <legend class="unseen">Time shown</legend>
                  {Object.keys(ranges).map((name) => (
                    <label key={name}>
                      <input
                        type="radio"
                        name="range"
                        checked={name === range}
                        onChange={() => setRange(name)}
                      />
                      {name}
                    </label>
                  ))}
                </fieldset>
              </div>
              {samples.length < 2 ? (
                <p class="minor">
                  There is no line to draw yet: the server counts every five minutes, and keeps one count of
                  each hour and each day.
                </p>
              ) : (
                <Chart
                  summary={summaryOf(samples)}
                  times={samples.map(({ at }) => at)}
                  series={[
                    {
                      name: 'All versions together',
                      colour: '--chart-2',
                      isDashed: true,
                      values: samples.map((sample) => sample.logical_bytes),
                    },
                    {
                      name: 'Stored',
                      colour: '--chart-1',
                      values: samples.map((sample) => sample.stored_bytes),
                    },
                  ]}
                />
              )}
              <p class="minor">
                {count(newest.artifacts, 'artifact')} with {count(newest.versions, 'version')} in{' '}
                {count(newest.blobs, 'blob')}; counted <Ago at={newest.at} />.
              </p>
            </>
          )
        }
      </Loading>
      <Command text={commands.usage(ranges[range]!.days)} />
    </section>
  )
}

const Saved = ({ saved, logical }: { saved: number; logical: number }) => (
  <>
    <Size bytes={saved} /> {saved > 0 && <span class="minor">{Math.round((saved / logical) * 100)} %</span>}
  </>
)

type Sample = { readonly stored_bytes: number; readonly logical_bytes: number }

const summaryOf = (samples: readonly Sample[]): string => {
  const [first, last] = [samples[0]!, samples.at(-1)!]
  return (
    `What is stored went from ${size(first.stored_bytes)} to ${size(last.stored_bytes)}, ` +
    `the sizes of all versions together from ${size(first.logical_bytes)} to ${size(last.logical_bytes)}.`
  )
}
