import { commands } from '../commands.ts'
import { size } from '../format.ts'
import { useLoad } from '../load.ts'
import { Command } from '../parts/copy-button.tsx'
import { Ago, Size } from '../parts/facts.tsx'
import { Loading } from '../parts/loading.tsx'
import { Table } from '../parts/table.tsx'
import { View } from '../parts/view.tsx'
import { useSession } from '../session.ts'
import { Failures } from './overview/failures.tsx'
import { StoreHealth } from './overview/health.tsx'
import { History } from './overview/history.tsx'
import { Nodes } from './overview/nodes.tsx'
import { NamespaceUsage } from './overview/usage.tsx'

const refreshMs = 10_000
const shown = 10
const shownUploads = 50

const Uploads = () => {
  const { client } = useSession()
  const loaded = useLoad((signal) => client.uploads.list({ signal }), [], { everyMs: refreshMs })
  return (
    <section>
      <h2>Uploads in progress</h2>
      <Loading of={loaded}>
        {(uploads) => (
          <Table
            label="Uploads in progress"
            columns={['Upload', 'Namespace', '#Arrived', '#Of', 'Last data', 'Expires', 'Node']}
            none="None."
            rows={uploads
              .slice(-shownUploads)
              .reverse()
              .map((upload) => ({
                key: upload.uuid,
                cells: [
                  <code>{upload.uuid.slice(0, 8)}</code>,
                  upload.namespace,
                  <Size bytes={upload.size} />,
                  upload.declared_size === null ? '–' : size(upload.declared_size),
                  <Ago at={upload.last_data_at} />,
                  <Ago at={upload.expires_at} />,
                  upload.node,
                ],
              }))}
          />
        )}
      </Loading>
      <Command text={commands.uploadList()} />
    </section>
  )
}

const Biggest = () => {
  const { client } = useSession()
  const loaded = useLoad((signal) => client.artifacts.list({ sort: '-size', limit: shown }, { signal }), [])
  return (
    <section>
      <h2>Biggest artifacts</h2>
      <Loading of={loaded}>
        {(artifacts) => (
          <Table
            label="Biggest artifacts"
            columns={['Name', 'Namespace', '#Newest version', '#All versions']}
            none="Nothing is stored yet."
            rows={artifacts.map((artifact) => ({
              key: artifact.uuid,
              cells: [
                <a href={`#/artifacts/${artifact.uuid}`}>{artifact.name}</a>,
                artifact.namespace,
                <Size bytes={artifact.blobs[String(artifact.index)]?.size ?? 0} />,
                <Size bytes={Object.values(artifact.blobs).reduce((sum, blob) => sum + blob.size, 0)} />,
              ],
            }))}
          />
        )}
      </Loading>
      <Command text={commands.listArtifacts({ sort: '-size', limit: String(shown) })} />
    </section>
  )
}

/** What fills the disk, what goes on, and what failed. */
export const Overview = () => {
  const { isSystem } = useSession()
  return (
    <View title="Overview">
      {isSystem && <History />}
      {isSystem && <Failures />}
      <NamespaceUsage />
      <Biggest />
      <Uploads />
      {isSystem && <StoreHealth />}
      {isSystem && <Nodes />}
    </View>
  )
}
