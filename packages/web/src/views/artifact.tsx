import { commands } from '../commands.ts'
import { useLoad } from '../load.ts'
import { CommandButton } from '../parts/copy-button.tsx'
import { Ago, Badge } from '../parts/facts.tsx'
import { Loading } from '../parts/loading.tsx'
import { View } from '../parts/view.tsx'
import { useSession } from '../session.ts'
import { Comparison } from './artifact/comparison.tsx'
import { Events } from './artifact/events.tsx'
import { MetadataTable } from './artifact/metadata.tsx'
import { Removal } from './artifact/removal.tsx'
import { Sharing } from './artifact/sharing.tsx'
import { Versions } from './artifact/versions.tsx'

/** Of an artifact with more, the newest are shown. */
const shownVersions = 100

const Back = () => (
  <p class="back">
    <a href="#/artifacts">Artifacts</a>
  </p>
)

export const ArtifactView = ({ uuid }: { uuid: string }) => {
  const { client } = useSession()
  const loaded = useLoad(
    async (signal) => {
      const [artifact, versions, namespaces] = await Promise.all([
        client.artifacts.show(uuid, { signal }),
        client.call(
          'listVersions',
          { params: { artifact_ref: uuid }, query: { sort: '-index', limit: shownVersions } },
          { signal },
        ),
        client.namespaces.list({ signal }),
      ])
      // One's own namespace and those that trust it are listed, and no other.
      const owner = namespaces.find(({ name }) => name === artifact.namespace)
      return { artifact, versions, owner }
    },
    [uuid],
  )
  return (
    <View title={loaded.data?.artifact.name ?? 'Artifact'} back={<Back />}>
      <Loading of={loaded}>
        {({ artifact, versions, owner }) => (
          <>
            <p class="facts">
              <span>{artifact.artifact_type}</span>
              <span>in {artifact.namespace}</span>
              <span>
                created <Ago at={artifact.created_at} />
              </span>
              {artifact.state !== 'created' && <Badge>{artifact.state}</Badge>}
              <CommandButton text={commands.showArtifact(artifact.uuid)} />
            </p>
            {artifact.error !== undefined && <p class="problem">{artifact.error}</p>}
            <Sharing artifact={artifact} owner={owner} onChange={loaded.reload} />
            <Versions
              artifact={artifact}
              versions={versions}
              mayChange={owner !== undefined}
              onChange={loaded.reload}
            />
            {versions.length > 1 && <Comparison versions={versions} />}
            <MetadataTable artifact={artifact} mayChange={owner !== undefined} />
            <Events uuid={artifact.uuid} onNews={loaded.reload} />
            {owner !== undefined && artifact.state !== 'deleted' && <Removal artifact={artifact} />}
          </>
        )}
      </Loading>
    </View>
  )
}
