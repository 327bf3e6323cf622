import { commands } from '../../commands.ts'
import { number, size } from '../../format.ts'
import { useLoad } from '../../load.ts'
import { Command } from '../../parts/copy-button.tsx'
import { Size } from '../../parts/facts.tsx'
import { Loading } from '../../parts/loading.tsx'
import { Table } from '../../parts/table.tsx'
import { useSession } from '../../session.ts'

/** So many are asked about, one by one. */
const asked = 50

const Quota = ({ used, limit }: { used: number; limit: number }) =>
  limit === 0 ? (
    <span class="minor">no limit</span>
  ) : (
    <span class="quota">
      <progress value={Math.min(used, limit)} max={limit} aria-label="Quota used" />
      {Math.round((used / limit) * 100)} % of {size(limit)}
    </span>
  )

/** What each namespace within reach has stored, the biggest first. */
export const NamespaceUsage = () => {
  const { client, isSystem } = useSession()
  const loaded = useLoad(async (signal) => {
    const all = (await client.namespaces.list({ signal })).map(({ name }) => name)
    // Where there are too many to ask about each, the server's last count tells which are large
    const largest =
      isSystem && all.length > asked
        ? (await client.call('showStoreUsage', { query: { since: Date.now() / 1000 } }, { signal }))
            .namespaces
        : []
    const counted = largest.map(({ namespace }) => namespace).filter((name) => all.includes(name))
    const names = [...new Set([...counted, ...all])].slice(0, asked)
    const usages = await Promise.all(
      names.map((namespace) => client.call('showUsage', { params: { namespace } }, { signal })),
    )
    return usages.sort((a, b) => b.bytes - a.bytes)
  }, [])
  return (
    <section>
      <h2>Namespaces</h2>
      <Loading of={loaded}>
        {(usages) => (
          <Table
            label="Use by namespace"
            columns={['Namespace', '#Stored', '#Unfinished', '#Artifacts', 'Quota']}
            none="None."
            rows={usages.map((usage) => ({
              key: usage.namespace,
              cells: [
                <a href={`#/administration/${encodeURIComponent(usage.namespace)}`}>{usage.namespace}</a>,
                <Size bytes={usage.blob_bytes} />,
                <Size bytes={usage.upload_bytes} />,
                number(usage.artifacts),
                <Quota used={usage.bytes} limit={usage.limits.max_bytes} />,
              ],
            }))}
          />
        )}
      </Loading>
      <Command text={commands.status()} />
    </section>
  )
}
