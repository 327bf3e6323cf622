import type { ArtifactView, Query } from '@holdfast/client/browser'
import { useEffect, useState } from 'preact/hooks'
import { useSearch } from 'wouter-preact'
import { commands } from '../commands.ts'
import { number } from '../format.ts'
import { useLoad } from '../load.ts'
import { Command } from '../parts/copy-button.tsx'
import { Ago, Badge, Size } from '../parts/facts.tsx'
import { Loading } from '../parts/loading.tsx'
import { View } from '../parts/view.tsx'
import { navigate, withQuery } from '../router.ts'
import { useSession } from '../session.ts'
import { Filters } from './artifact-filters.tsx'

const pageSize = 50
const typingMs = 250

type ListQuery = NonNullable<Query<'listArtifacts'>>

/** The newest version's size; an artifact that is still being fetched has none. */
const newestSize = ({ blobs, index }: ArtifactView): number | undefined => blobs[String(index)]?.size

const Row = ({ artifact, namespace }: { artifact: ArtifactView; namespace: string }) => {
  const bytes = newestSize(artifact)
  return (
    <tr>
      <th scope="row">
        <a href={`#/artifacts/${artifact.uuid}`}>{artifact.name}</a>
        {artifact.namespace !== namespace && <span class="minor"> in {artifact.namespace}</span>}
      </th>
      <td class="wide">
        {artifact.artifact_type}
        {artifact.shared && <Badge>shared</Badge>}
        {artifact.state !== 'created' && <Badge>{artifact.state}</Badge>}
      </td>
      <td class="figure">{bytes === undefined ? '–' : <Size bytes={bytes} />}</td>
      <td class="figure wide">{number(Object.keys(artifact.blobs).length)}</td>
      <td class="figure">
        <Ago at={artifact.created_at} />
      </td>
    </tr>
  )
}

export const Artifacts = () => {
  const { client, namespace } = useSession()
  const search = useSearch()
  const filters = Object.fromEntries(new URLSearchParams(search))
  /** The cursors of the pages that were passed; the last is that of this page. */
  const [cursors, setCursors] = useState<readonly string[]>([])
  useEffect(() => setCursors([]), [search])
  const [typed, setTyped] = useState(filters.name ?? '')
  const change = (changed: Record<string, string>) =>
    navigate(withQuery('/artifacts', { ...filters, ...changed }), { replace: true })
  useEffect(() => {
    if (typed === (filters.name ?? '')) return
    const timer = setTimeout(() => change({ name: typed }), typingMs)
    return () => clearTimeout(timer)
  }, [typed])

  const query = {
    sort: '-created_at',
    ...filters,
    limit: pageSize,
    ...(cursors.length > 0 ? { cursor: cursors.at(-1) } : {}),
  } as ListQuery
  const page = useLoad(
    (signal) => client.page('listArtifacts', { query }, { signal }),
    [JSON.stringify(query)],
  )
  const isFiltered = search !== ''

  return (
    <View
      title="Artifacts"
      aside={
        <a class="button" href="#/uploads">
          Upload
        </a>
      }
    >
      <Filters values={filters} name={typed} onName={setTyped} onChange={change} />
      <Loading of={page}>
        {({ items, cursor }) =>
          items.length === 0 ? (
            <p class="empty">
              {isFiltered ? 'Nothing fits these filters.' : 'Nothing is stored here yet. '}
              {!isFiltered && <a href="#/uploads">Upload the first file</a>}
            </p>
          ) : (
            <>
              <div class="scroll" aria-busy={page.isLoading && page.data === undefined}>
                <table class="list">
                  <thead>
                    <tr>
                      <th scope="col">Name</th>
                      <th scope="col" class="wide">
                        Type
                      </th>
                      <th scope="col" class="figure">
                        Size
                      </th>
                      <th scope="col" class="figure wide">
                        Versions
                      </th>
                      <th scope="col" class="figure">
                        Created
                      </th>
                    </tr>
                  </thead>
                  <tbody>
                    {items.map((artifact) => (
                      <Row key={artifact.uuid} artifact={artifact} namespace={namespace} />
                    ))}
                  </tbody>
                </table>
              </div>
              {(cursor !== undefined || cursors.length > 0) && (
                <nav class="pages" aria-label="Pages">
                  <button
                    type="button"
                    class="small secondary"
                    disabled={cursors.length === 0}
                    onClick={() => setCursors(cursors.slice(0, -1))}
                  >
                    Previous
                  </button>
                  <span class="minor">Page {cursors.length + 1}</span>
                  <button
                    type="button"
                    class="small secondary"
                    disabled={cursor === undefined}
                    onClick={() => setCursors([...cursors, cursor!])}
                  >
                    Next
                  </button>
                </nav>
              )}
            </>
          )
        }
      </Loading>
      <Command text={commands.listArtifacts()} />
    </View>
  )
}
