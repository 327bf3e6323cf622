import { useState } from 'preact/hooks'
import { commands } from '../commands.ts'
import { useAction, useLoad } from '../load.ts'
import { Command } from '../parts/copy-button.tsx'
import { Loading } from '../parts/loading.tsx'
import { Problem } from '../parts/problem.tsx'
import { Table } from '../parts/table.tsx'
import { View } from '../parts/view.tsx'
import { useSession } from '../session.ts'
import { Jobs } from './admin/jobs.tsx'

const Namespaces = () => {
  const { client, isSystem } = useSession()
  const loaded = useLoad((signal) => client.namespaces.list({ signal }), [])
  const [name, setName] = useState('')
  const creating = useAction(() => client.namespaces.create({ namespace: name.trim() }))
  const onSubmit = async (event: Event) => {
    event.preventDefault()
    if (!(await creating.run())) return
    setName('')
    loaded.reload()
  }
  return (
    <section>
      <h2>Namespaces</h2>
      <Loading of={loaded}>
        {(namespaces) => (
          <Table
            label="Namespaces"
            columns={['Name', 'Keys', 'Trusts']}
            none="None."
            rows={namespaces.map((namespace) => ({
              key: namespace.name,
              cells: [
                <a href={`#/administration/${encodeURIComponent(namespace.name)}`}>{namespace.name}</a>,
                namespace.keys.join(', ') || '–',
                namespace.trust.full.join(', ') || '–',
              ],
            }))}
          />
        )}
      </Loading>
      {isSystem && (
        <form onSubmit={onSubmit}>
          <div class="row">
            <label class="grow">
              New namespace
              <input value={name} onInput={(event) => setName(event.currentTarget.value)} required />
            </label>
            <button type="submit" aria-busy={creating.isBusy}>
              Create
            </button>
          </div>
          <Problem error={creating.error} />
          <Command text={commands.createNamespace(name || 'NAME')} />
        </form>
      )}
    </section>
  )
}

export const Administration = () => {
  const { isSystem } = useSession()
  return (
    <View title={isSystem ? 'Administration' : 'Access'}>
      <Namespaces />
      {isSystem && <Jobs />}
    </View>
  )
}
