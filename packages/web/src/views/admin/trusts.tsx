import type { NamespaceView } from '@holdfast/client/browser'
import { useState } from 'preact/hooks'
import { commands } from '../../commands.ts'
import { useAction } from '../../load.ts'
import { Command, CommandButton } from '../../parts/copy-button.tsx'
import { Problem } from '../../parts/problem.tsx'
import { Table } from '../../parts/table.tsx'
import { useSession } from '../../session.ts'

interface TrustsProps {
  readonly namespace: NamespaceView
  readonly onChange: () => void
}

/** Who else may see and change what a namespace has. */
export const Trusts = ({ namespace: { name, trust }, onChange }: TrustsProps) => {
  const { client } = useSession()
  const [other, setOther] = useState('')
  const adding = useAction(async () => {
    await client.namespaces.addTrust(name, other.trim())
    setOther('')
    onChange()
  })
  const removing = useAction(async (external: string) => {
    await client.namespaces.removeTrust(name, external)
    onChange()
  })
  return (
    <section>
      <h2>Trusts</h2>
      <p>These namespaces see everything of {name} and may change it:</p>
      <Table
        label="Trusts"
        columns={['Namespace', '']}
        none="None."
        rows={trust.full.map((external) => ({
          key: external,
          cells: [
            external,
            external === 'system' ? (
              <span class="minor">always</span>
            ) : (
              <>
                <button
                  type="button"
                  class="small secondary"
                  aria-label={`Take back the trust in ${external}`}
                  onClick={() => removing.run(external)}
                >
                  Take back
                </button>
                <CommandButton text={commands.removeTrust(name, external)} />
              </>
            ),
          ],
        }))}
      />
      <Problem error={removing.error} />
      <form
        onSubmit={(event) => {
          event.preventDefault()
          void adding.run()
        }}
      >
        <div class="row">
          <label class="grow">
            Trust another namespace
            <input value={other} onInput={(event) => setOther(event.currentTarget.value)} required />
          </label>
          <button type="submit" aria-busy={adding.isBusy}>
            Trust it
          </button>
        </div>
        <Problem error={adding.error} />
        <Command text={commands.addTrust(name, other || 'OTHER')} />
      </form>
    </section>
  )
}
