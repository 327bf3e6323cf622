import { useState } from 'preact/hooks'
import { commands } from '../../commands.ts'
import { useAction, useLoad } from '../../load.ts'
import { Command } from '../../parts/copy-button.tsx'
import { Dialog } from '../../parts/dialog.tsx'
import { Loading } from '../../parts/loading.tsx'
import { Problem } from '../../parts/problem.tsx'
import { View } from '../../parts/view.tsx'
import { navigate } from '../../router.ts'
import { useSession } from '../../session.ts'
import { Keys } from './keys.tsx'
import { Limits } from './limits.tsx'
import { Trusts } from './trusts.tsx'

const Back = () => (
  <p class="back">
    <a href="#/administration">Namespaces</a>
  </p>
)

/** One namespace: its keys, whom it trusts, its limits. */
export const Namespace = ({ name }: { name: string }) => {
  const { client, isSystem } = useSession()
  const loaded = useLoad((signal) => client.namespaces.show(name, { signal }), [name])
  return (
    <View title={name} back={<Back />}>
      <Loading of={loaded}>
        {(namespace) => (
          <>
            <Keys namespace={namespace} onChange={loaded.reload} />
            <Trusts namespace={namespace} onChange={loaded.reload} />
            <Limits name={name} />
            {isSystem && name !== 'system' && <Removal name={name} />}
          </>
        )}
      </Loading>
    </View>
  )
}

const Removal = ({ name }: { name: string }) => {
  const { client } = useSession()
  const [isOpen, setOpen] = useState(false)
  const deleting = useAction(() => client.namespaces.delete(name))
  return (
    <section class="ending">
      <button type="button" class="small secondary" onClick={() => setOpen(true)}>
        Delete this namespace
      </button>
      {isOpen && (
        <Dialog title={`Delete ${name}?`} onClose={() => setOpen(false)}>
          <p>
            <strong>Goes:</strong> its keys, uploads, labels and artifacts with all versions.
          </p>
          <p>
            <strong>Stays:</strong> bytes that another namespace also stores.
          </p>
          <Problem error={deleting.error} />
          <div class="row">
            <button
              type="button"
              class="danger"
              aria-busy={deleting.isBusy}
              onClick={async () => (await deleting.run()) && navigate('/administration')}
            >
              Delete {name}
            </button>
            <button type="button" class="secondary" onClick={() => setOpen(false)}>
              Cancel
            </button>
          </div>
          <Command text={commands.deleteNamespace(name)} />
        </Dialog>
      )}
    </section>
  )
}
