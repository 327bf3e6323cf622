import type { VersionView } from '@holdfast/client/browser'
import { useState } from 'preact/hooks'
import { commands } from '../../commands.ts'
import { useAction } from '../../load.ts'
import { Command } from '../../parts/copy-button.tsx'
import { Dialog } from '../../parts/dialog.tsx'
import { Problem } from '../../parts/problem.tsx'
import { useSession } from '../../session.ts'

interface LabelDialogProps {
  readonly version: VersionView
  readonly onClose: () => void
  readonly onDone: () => void
}

/** Points a label, new or old, at a version. */
export const LabelDialog = ({ version, onClose, onDone }: LabelDialogProps) => {
  const { client } = useSession()
  const [name, setName] = useState('')
  const setting = useAction(() => client.labels.update(name.trim(), { blob_uuid: version.uuid }))
  const onSubmit = async (event: Event) => {
    event.preventDefault()
    if (await setting.run()) onDone()
  }
  return (
    <Dialog title={`Point a label at version ${version.index}`} onClose={onClose}>
      <form onSubmit={onSubmit}>
        <label>
          Label
          <input
            value={name}
            onInput={(event) => setName(event.currentTarget.value)}
            placeholder="stable"
            maxLength={255}
            required
          />
        </label>
        <p class="minor">A label that exists is moved; one that does not is made in your namespace.</p>
        <Problem error={setting.error} />
        <div class="row">
          <button type="submit" aria-busy={setting.isBusy}>
            Set the label
          </button>
          <button type="button" class="secondary" onClick={onClose}>
            Cancel
          </button>
        </div>
      </form>
      <Command text={commands.updateLabel(name || 'LABEL', version.uuid)} />
    </Dialog>
  )
}
