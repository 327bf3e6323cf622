import type { ArtifactView } from '@holdfast/client/browser'
import { useState } from 'preact/hooks'
import { commands } from '../../commands.ts'
import { useAction, useLoad } from '../../load.ts'
import { Command, CommandButton } from '../../parts/copy-button.tsx'
import { Loading } from '../../parts/loading.tsx'
import { Problem } from '../../parts/problem.tsx'
import { Table } from '../../parts/table.tsx'
import { useSession } from '../../session.ts'

/** Text is shown as it is, everything else as JSON. What is typed is text. */
const show = (value: unknown): string => (typeof value === 'string' ? value : JSON.stringify(value))

interface MetadataTableProps {
  readonly artifact: ArtifactView
  readonly mayChange: boolean
}

export const MetadataTable = ({ artifact: { uuid }, mayChange }: MetadataTableProps) => {
  const { client } = useSession()
  const loaded = useLoad((signal) => client.artifacts.metadata.show(uuid, { signal }), [uuid])
  const [key, setKey] = useState('')
  const [value, setValue] = useState('')
  const [isOpen, setOpen] = useState(false)
  const setting = useAction(() => client.artifacts.metadata.set(uuid, key.trim(), value))
  const removing = useAction((name: string) => client.artifacts.metadata.delete(uuid, name))
  /** Brings the value into the form. */
  const edit = (name: string, held: string) => {
    setKey(name)
    setValue(held)
    setOpen(true)
  }
  const onSubmit = async (event: Event) => {
    event.preventDefault()
    if (!(await setting.run())) return
    setKey('')
    setValue('')
    loaded.reload()
  }
  return (
    <section aria-labelledby="metadata">
      <h2 id="metadata">Metadata</h2>
      <Loading of={loaded}>
        {(metadata) => (
          <Table
            label="Metadata"
            columns={['Key', 'Value', '']}
            none="None."
            rows={Object.entries(metadata).map(([name, held]) => ({
              key: name,
              cells: [
                name,
                <span class="text">{show(held)}</span>,
                mayChange && (
                  <>
                    <button
                      type="button"
                      class="small secondary"
                      aria-label={`Edit ${name}`}
                      onClick={() => edit(name, show(held))}
                    >
                      Edit
                    </button>
                    <button
                      type="button"
                      class="small secondary"
                      aria-label={`Delete ${name}`}
                      onClick={async () => (await removing.run(name)) && loaded.reload()}
                    >
                      Delete
                    </button>
                    <CommandButton text={commands.deleteMetadata(uuid, name)} />
                  </>
                ),
              ],
            }))}
          />
        )}
      </Loading>
      <Problem error={removing.error} />
      {mayChange && (
        <details open={isOpen} onToggle={(event) => setOpen(event.currentTarget.open)}>
          <summary>Set a value</summary>
          <form onSubmit={onSubmit}>
            <div class="row">
              <label>
                Key
                <input value={key} onInput={(event) => setKey(event.currentTarget.value)} required />
              </label>
              <label class="grow">
                Value
                <input value={value} onInput={(event) => setValue(event.currentTarget.value)} />
              </label>
              <button type="submit" aria-busy={setting.isBusy}>
                Set
              </button>
            </div>
            <Problem error={setting.error} />
            <Command text={commands.setMetadata(uuid, key || 'KEY', value || 'VALUE')} />
          </form>
        </details>
      )}
    </section>
  )
}
