import { commands } from '../commands.ts'
import { useLoad } from '../load.ts'
import { Command } from '../parts/copy-button.tsx'
import { Ago, Badge } from '../parts/facts.tsx'
import { Loading } from '../parts/loading.tsx'
import { View } from '../parts/view.tsx'
import { useSession } from '../session.ts'
import { Versions } from './artifact/versions.tsx'

const Back = () => (
  <p class="back">
    <a href="#/artifacts">Artifacts</a>
  </p>
)

export const ArtifactView = ({ uuid }: { uuid: string }) => {
  const { client } = useSession()
  const loaded = useLoad(
    async (signal) => {
      const [artifact, versions] = await Promise.all([
        client.artifacts.show(uuid, { signal }),
        client.artifacts.versions(uuid, { signal }),
      ])
      return { artifact, versions: versions.toReversed() }
    },
    [uuid],
  )
  const artifact = loaded.data?.artifact
  return (
    <View title={artifact?.name ?? 'Artifact'} back={<Back />}>
      <Loading of={loaded}>
        {({ artifact, versions }) => (
          <>
            <p class="facts">
              <span>{artifact.artifact_type}</span>
              <span>in {artifact.namespace}</span>
              <span>
                created <Ago at={artifact.created_at} />
              </span>
              {artifact.state !== 'created' && <Badge>{artifact.state}</Badge>}
              {artifact.shared && <Badge>shared</Badge>}
            </p>
            {artifact.error !== undefined && <p class="problem">{artifact.error}</p>}
            <Versions artifact={artifact} versions={versions} onChange={loaded.reload} />
            <Command text={commands.showArtifact(artifact.uuid)} />
          </>
        )}
      </Loading>
    </View>
  )
}
