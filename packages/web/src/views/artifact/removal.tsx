import type { ArtifactView } from '@holdfast/client/browser'
import { useState } from 'preact/hooks'
import { commands } from '../../commands.ts'
import { count, size } from '../../format.ts'
import { useAction } from '../../load.ts'
import { Command } from '../../parts/copy-button.tsx'
import { Dialog } from '../../parts/dialog.tsx'
import { Problem } from '../../parts/problem.tsx'
import { navigate } from '../../router.ts'
import { useSession } from '../../session.ts'

/** Deletes an artifact, after it has been said what goes and what stays. */
export const Removal = ({ artifact }: { artifact: ArtifactView }) => {
  const { client } = useSession()
  const [isOpen, setOpen] = useState(false)
  const deleting = useAction(() => client.artifacts.delete(artifact.uuid))
  const versions = Object.values(artifact.blobs)
  const held = versions.filter(({ reference_count }) => reference_count > 1)
  const free = versions.filter(({ reference_count }) => reference_count <= 1)
  const bytes = (of: typeof versions) => size(of.reduce((sum, version) => sum + version.size, 0))
  const isLabel = artifact.artifact_type === 'label'
  return (
    <section class="ending">
      <button type="button" class="secondary small" onClick={() => setOpen(true)}>
        Delete {isLabel ? 'this label' : 'this artifact'}
      </button>
      {isOpen && (
        <Dialog title={`Delete ${artifact.name}?`} onClose={() => setOpen(false)}>
          <p>
            <strong>Goes:</strong> the {isLabel ? 'label' : 'artifact'} {artifact.name} with{' '}
            {count(versions.length, 'version')}, its metadata
            {free.length > 0 && `, and a while later ${bytes(free)} that nothing else refers to`}.
          </p>
          <p>
            <strong>Stays:</strong>{' '}
            {held.length > 0
              ? `${bytes(held)} that other artifacts or labels refer to, until they go too.`
              : 'its history, for a while. Bytes that another namespace also stores stay with it.'}
          </p>
          <Problem error={deleting.error} />
          <div class="row">
            <button
              type="button"
              class="danger"
              aria-busy={deleting.isBusy}
              onClick={async () => (await deleting.run()) && navigate('/artifacts')}
            >
              Delete {artifact.name}
            </button>
            <button type="button" class="secondary" onClick={() => setOpen(false)}>
              Cancel
            </button>
          </div>
          <Command text={commands.deleteArtifact(artifact.uuid)} />
        </Dialog>
      )}
    </section>
  )
}
