/** Files that were chosen and are about to be sent: what they are to be called. */
import type { UploadTarget } from '@holdfast/client/browser'
import { useState } from 'preact/hooks'
import { commands } from '../commands.ts'
import { size } from '../format.ts'
import { Command } from '../parts/copy-button.tsx'
import { useSession } from '../session.ts'

interface StagedProps {
  readonly files: readonly File[]
  readonly onStart: (uploads: { file: File; target: UploadTarget }[]) => void
  readonly onCancel: () => void
}

export const Staged = ({ files, onStart, onCancel }: StagedProps) => {
  const { isSystem } = useSession()
  const [names, setNames] = useState(() => files.map((file) => file.name))
  const [artifactType, setType] = useState<'image' | 'other'>('image')
  const [shared, setShared] = useState(false)
  const onSubmit = (event: Event) => {
    event.preventDefault()
    onStart(
      files.map((file, at) => ({
        file,
        target: { name: names[at]!.trim(), artifactType, ...(shared ? { shared } : {}) },
      })),
    )
  }
  return (
    <form class="panel" onSubmit={onSubmit}>
      <h2>{files.length === 1 ? 'A file to upload' : `${files.length} files to upload`}</h2>
      {files.map((file, at) => (
        <label key={`${at} ${file.name}`}>
          <span>
            {file.name} <span class="minor">{size(file.size)}</span> becomes a version of
          </span>
          <input
            value={names[at]}
            onInput={(event) => setNames(names.with(at, event.currentTarget.value))}
            aria-label={`Name of the artifact for ${file.name}`}
            pattern="[^\/]+"
            title="Anything without a slash"
            maxLength={255}
            required
          />
        </label>
      ))}
      <fieldset class="row">
        <label>
          <input
            type="radio"
            name="type"
            checked={artifactType === 'image'}
            onChange={() => setType('image')}
          />
          Image
        </label>
        <label>
          <input
            type="radio"
            name="type"
            checked={artifactType === 'other'}
            onChange={() => setType('other')}
          />
          Other file
        </label>
        {isSystem && (
          <label>
            <input
              type="checkbox"
              checked={shared}
              onChange={(event) => setShared(event.currentTarget.checked)}
            />
            Let every namespace read it
          </label>
        )}
      </fieldset>
      <div class="row">
        <button type="submit">Upload</button>
        <button type="button" class="secondary" onClick={onCancel}>
          Cancel
        </button>
      </div>
      <Command
        text={commands.upload(
          files.map((file, at) => ({
            name: names[at]!.trim() || 'NAME',
            file: file.name,
            artifactType,
            shared,
          })),
        )}
      />
    </form>
  )
}
