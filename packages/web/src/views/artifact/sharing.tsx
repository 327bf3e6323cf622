import type { ArtifactView, NamespaceView } from '@holdfast/client/browser'
import { commands } from '../../commands.ts'
import { inWords } from '../../format.ts'
import { useAction } from '../../load.ts'
import { CommandButton } from '../../parts/copy-button.tsx'
import { Problem } from '../../parts/problem.tsx'
import { useSession } from '../../session.ts'

interface SharingProps {
  readonly artifact: ArtifactView
  /** Undefined when the reader may not act on the artifact. */
  readonly owner: NamespaceView | undefined
  readonly onChange: () => void
}

/** Who may see an artifact, in one sentence. */
export const visibility = (artifact: ArtifactView, owner: NamespaceView | undefined): string => {
  if (artifact.shared) return `everybody with a key to this server, because ${artifact.namespace} shares it`
  const trusted = (owner?.trust.full ?? []).filter((name) => name !== 'system' && name !== artifact.namespace)
  const names = [artifact.namespace, ...trusted, ...(artifact.namespace === 'system' ? [] : ['system'])]
  const because = trusted.length === 0 ? '' : `; ${artifact.namespace} trusts ${inWords(trusted)}`
  return `${inWords([...new Set(names)])}${because}`
}

export const Sharing = ({ artifact, owner, onChange }: SharingProps) => {
  const { client, isSystem } = useSession()
  const toggle = useAction(async () => {
    if (artifact.shared) await client.artifacts.unshare(artifact.uuid)
    else await client.artifacts.share(artifact.uuid)
    onChange()
  })
  return (
    <>
      <p class="row">
        <span>
          Visible to: <strong>{visibility(artifact, owner)}</strong>.
        </span>
        {isSystem && artifact.namespace === 'system' && (
          <>
            <button
              type="button"
              class="small secondary"
              aria-busy={toggle.isBusy}
              onClick={() => toggle.run()}
            >
              {artifact.shared ? 'Stop sharing' : 'Share with everybody'}
            </button>
            <CommandButton
              text={artifact.shared ? commands.unshare(artifact.uuid) : commands.share(artifact.uuid)}
            />
          </>
        )}
      </p>
      <Problem error={toggle.error} />
    </>
  )
}
