import { commands } from '../../commands.ts'
import { number } from '../../format.ts'
import { useLoad } from '../../load.ts'
import { Command } from '../../parts/copy-button.tsx'
import { Ago, Badge } from '../../parts/facts.tsx'
import { Loading } from '../../parts/loading.tsx'
import { Table } from '../../parts/table.tsx'
import { useSession } from '../../session.ts'

const refreshMs = 10_000

/** The servers that share this store: for the administrator. */
export const Nodes = () => {
  const { client } = useSession()
  const loaded = useLoad((signal) => client.call('listNodes', {}, { signal }), [], { everyMs: refreshMs })
  return (
    <section>
      <h2>Nodes</h2>
      <Loading of={loaded}>
        {(nodes) => (
          <Table
            label="Nodes"
            columns={['Node', 'State', 'Heard of', 'Started', '#Unfinished uploads', 'Version']}
            none="None."
            rows={nodes.map((node) => ({
              key: node.name,
              cells: [
                <>
                  {node.name} {node.answers && <span class="minor">this page comes from it</span>}
                </>,
                <Badge>{node.state}</Badge>,
                <Ago at={node.seen_at} />,
                <Ago at={node.started_at} />,
                number(node.uploads),
                node.version,
              ],
            }))}
          />
        )}
      </Loading>
      <Command text={commands.nodes()} />
    </section>
  )
}
