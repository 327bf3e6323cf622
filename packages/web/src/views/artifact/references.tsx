import type { ArtifactView } from '@holdfast/client/browser'
import { useLoad } from '../../load.ts'
import { Badge } from '../../parts/facts.tsx'
import { useSession } from '../../session.ts'

const shown = 5

/** What else that the reader may see holds the same bytes: labels that point at them, and other artifacts. */
export const References = ({ artifact, blobUuid }: { artifact: ArtifactView; blobUuid: string }) => {
  const { client } = useSession()
  const { data } = useLoad(
    (signal) => client.artifacts.list({ blob_uuid: blobUuid, limit: shown + 2 }, { signal }),
    [blobUuid, artifact],
  )
  const others = (data ?? []).filter(({ uuid }) => uuid !== artifact.uuid)
  if (others.length === 0) return <span class="minor">–</span>
  return (
    <>
      {others.slice(0, shown).map((other) => (
        <span key={other.uuid} class="reference">
          <a href={`#/artifacts/${other.uuid}`}>{other.name}</a>{' '}
          {other.artifact_type === 'label' && <Badge>label</Badge>}{' '}
        </span>
      ))}
      {others.length > shown && <span class="minor">and more</span>}
    </>
  )
}
