import type { NamespaceView } from '@holdfast/client/browser'
import { useState } from 'preact/hooks'
import { commands } from '../../commands.ts'
import { useAction } from '../../load.ts'
import { Command, CommandButton, CopyButton } from '../../parts/copy-button.tsx'
import { Problem } from '../../parts/problem.tsx'
import { Table } from '../../parts/table.tsx'
import { useSession } from '../../session.ts'

const keyBytes = 24

/** A key that nobody has to think of: 192 random bits, in characters that need no quoting. */
const newKey = (): string =>
  btoa(String.fromCharCode(...crypto.getRandomValues(new Uint8Array(keyBytes))))
    .replaceAll('+', '-')
    .replaceAll('/', '_')

interface KeysProps {
  readonly namespace: NamespaceView
  readonly onChange: () => void
}

export const Keys = ({ namespace: { name, keys }, onChange }: KeysProps) => {
  const { client } = useSession()
  const [keyName, setKeyName] = useState('')
  /** Shown once: the server keeps only its hash. */
  const [made, setMade] = useState<{ readonly name: string; readonly key: string }>()
  const adding = useAction(async () => {
    const fresh = { name: keyName.trim(), key: newKey() }
    await client.namespaces.addKey(name, fresh.name, fresh.key)
    setMade(fresh)
    setKeyName('')
    onChange()
  })
  const removing = useAction(async (key: string) => {
    await client.namespaces.deleteKey(name, key)
    onChange()
  })
  return (
    <section>
      <h2>Keys</h2>
      <Table
        label="Keys"
        columns={['Key', '']}
        none="None: nobody can sign in."
        rows={keys.map((key) => ({
          key,
          cells: [
            key,
            <>
              <button
                type="button"
                class="small secondary"
                aria-label={`Delete the key ${key}`}
                onClick={() => removing.run(key)}
              >
                Delete
              </button>
              <CommandButton text={commands.deleteKey(name, key)} />
            </>,
          ],
        }))}
      />
      <Problem error={removing.error} />
      {made && (
        <div class="notice" role="status">
          <p>
            The key <strong>{made.name}</strong>, shown this once:
          </p>
          <p>
            <code>{made.key}</code> <CopyButton text={made.key} label="Copy the new key" />
          </p>
        </div>
      )}
      <form
        onSubmit={(event) => {
          event.preventDefault()
          void adding.run()
        }}
      >
        <div class="row">
          <label class="grow">
            Name of a new key
            <input value={keyName} onInput={(event) => setKeyName(event.currentTarget.value)} required />
          </label>
          <button type="submit" aria-busy={adding.isBusy}>
            {keys.includes(keyName.trim()) ? 'Replace the key' : 'Make a key'}
          </button>
        </div>
        <Problem error={adding.error} />
        <Command text={commands.addKey(name, keyName || 'KEY-NAME')} />
      </form>
    </section>
  )
}
