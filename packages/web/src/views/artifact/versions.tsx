import type { ArtifactView, VersionView } from '@holdfast/client/browser'
import { useState } from 'preact/hooks'
import { commands } from '../../commands.ts'
import { download } from '../../downloads/download.ts'
import { size } from '../../format.ts'
import { useAction } from '../../load.ts'
import { Command, CommandButton, Digest } from '../../parts/copy-button.tsx'
import { Dialog } from '../../parts/dialog.tsx'
import { Ago, Badge, Size } from '../../parts/facts.tsx'
import { Problem } from '../../parts/problem.tsx'
import { Table } from '../../parts/table.tsx'
import { useSession } from '../../session.ts'
import { LabelDialog } from './label-dialog.tsx'
import { References } from './references.tsx'

interface VersionsProps {
  readonly artifact: ArtifactView
  /** The newest first. */
  readonly versions: readonly VersionView[]
  readonly mayChange: boolean
  readonly onChange: () => void
}

type Open = { readonly kind: 'label' | 'delete'; readonly version: VersionView } | undefined

export const Versions = ({ artifact, versions, mayChange, onChange }: VersionsProps) => {
  const [open, setOpen] = useState<Open>()
  const close = () => setOpen(undefined)
  const done = () => {
    close()
    onChange()
  }
  return (
    <section aria-labelledby="versions">
      <h2 id="versions">Versions</h2>
      <Table
        label="Versions"
        columns={['Version', '#Size', 'Added', 'SHA-512', 'Also in', '']}
        none="It has no version yet."
        rows={versions.map((version) => ({
          key: String(version.index),
          cells: [
            <>
              <span class="small-only">Version </span>
              {version.index} {version.state === 'quarantined' && <Badge>damaged</Badge>}
            </>,
            <Size bytes={version.size} />,
            <Ago at={artifact.blobs[String(version.index)]?.created_at ?? version.fetched_at} />,
            <Digest value={version.sha512} name={`SHA-512 of version ${version.index}`} />,
            <References artifact={artifact} blobUuid={version.uuid} />,
            <>
              <button
                type="button"
                class="small"
                aria-label={`Download version ${version.index}`}
                onClick={() =>
                  download({ artifact: artifact.uuid, version: version.index }, artifact.name, version.size)
                }
              >
                Download
              </button>
              <CommandButton text={commands.download(artifact.uuid, artifact.name, version.index)} />
              <button
                type="button"
                class="small secondary"
                aria-label={`Label version ${version.index}`}
                onClick={() => setOpen({ kind: 'label', version })}
              >
                Label
              </button>
              {mayChange && (
                <button
                  type="button"
                  class="small secondary"
                  aria-label={`Delete version ${version.index}`}
                  onClick={() => setOpen({ kind: 'delete', version })}
                >
                  Delete
                </button>
              )}
            </>,
          ],
        }))}
      />
      {open?.kind === 'label' && <LabelDialog version={open.version} onClose={close} onDone={done} />}
      {open?.kind === 'delete' && (
        <DeleteVersion artifact={artifact} version={open.version} onClose={close} onDone={done} />
      )}
    </section>
  )
}

interface DeleteVersionProps {
  readonly artifact: ArtifactView
  readonly version: VersionView
  readonly onClose: () => void
  readonly onDone: () => void
}

const DeleteVersion = ({ artifact, version, onClose, onDone }: DeleteVersionProps) => {
  const { client } = useSession()
  const deleting = useAction(() => client.artifacts.deleteVersion(artifact.uuid, version.index))
  const others = version.reference_count - 1
  const isLast = Object.keys(artifact.blobs).length === 1
  return (
    <Dialog title={`Delete version ${version.index}?`} onClose={onClose}>
      <p>
        <strong>Goes:</strong> version {version.index} of {artifact.name}
        {isLast ? ', and the artifact with it, as it is the last one' : ''}
        {others > 0 ? '.' : `, and a while later its ${size(version.size)}.`}
      </p>
      <p>
        <strong>Stays:</strong>{' '}
        {others > 0
          ? `the bytes (${size(version.size)}), which you can see in ${others} other ${others === 1 ? 'version' : 'versions'}.`
          : isLast
            ? 'nothing that you can see.'
            : 'every other version. Bytes that another namespace also stores stay with it.'}
      </p>
      <Problem error={deleting.error} />
      <div class="row">
        <button
          type="button"
          class="danger"
          aria-busy={deleting.isBusy}
          onClick={async () => (await deleting.run()) && onDone()}
        >
          Delete version {version.index}
        </button>
        <button type="button" class="secondary" onClick={onClose}>
          Cancel
        </button>
      </div>
      <Command text={commands.deleteVersion(artifact.uuid, version.index)} />
    </Dialog>
  )
}
