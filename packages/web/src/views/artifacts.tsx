import type { ArtifactView, BrowserClient, Query } from '@holdfast/client/browser'
import { useEffect, useRef, useState } from 'preact/hooks'
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
import { defaultSort, Filters } from './artifact-filters.tsx'

const pageSize = 50
const typingMs = 250

type ListQuery = NonNullable<Query<'listArtifacts'>>

/** The newest version's size; an artifact that is still being fetched has none. */
const newestSize = ({ blobs, index }: ArtifactView): number | undefined => blobs[String(index)]?.size

const Row = ({ artifact, namespace }: { artifact: ArtifactView; namespace: string }) => {
  const bytes = newestSize(artifact)
  const versions = Object.keys(artifact.blobs).length
  return (
    <tr>
      <th scope="row">
        <a href={`#/artifacts/${artifact.uuid}`}>{artifact.name}</a>
        {artifact.namespace !== namespace && <span class="minor"> in {artifact.namespace}</span>}
      </th>
      <td>
        {artifact.artifact_type} {artifact.shared && <Badge>shared</Badge>}{' '}
        {artifact.state !== 'created' && <Badge>{artifact.state}</Badge>}
      </td>
      <td class="figure">{bytes === undefined ? '–' : <Size bytes={bytes} />}</td>
      <td class="figure">
        {number(versions)}
        <span class="small-only"> {versions === 1 ? 'version' : 'versions'}</span>
      </td>
      <td class="figure">
        <Ago at={artifact.created_at} />
      </td>
    </tr>
  )
}

/** The blob that a label points at now; a label of one's own namespace goes before others of the name. */
const labelledBlob = async (
  client: BrowserClient,
  name: string,
  namespace: string,
  signal: AbortSignal,
): Promise<string | undefined> => {
  const query = { type: 'label', name, sort: 'name', limit: pageSize } as const
  const labels = (await client.artifacts.list(query, { signal })).filter((label) => label.name === name)
  const label = labels.find((one) => one.namespace === namespace) ?? labels[0]
  return label?.blobs[String(label.index)]?.uuid
}

/**
 * A page with something on it, if there is one: where the order is not that of a filter, the server looks at so many
 * artifacts a page, and may find none of them fitting.
 */
const firstFound = async (client: BrowserClient, query: ListQuery, signal: AbortSignal) => {
  let page = await client.page('listArtifacts', { query }, { signal })
  while (page.items.length === 0 && page.cursor !== undefined)
    page = await client.page('listArtifacts', { query: { ...query, cursor: page.cursor } }, { signal })
  return page
}

export const Artifacts = () => {
  const { client, namespace } = useSession()
  const search = useSearch()
  const filters = Object.fromEntries(new URLSearchParams(search))
  /** The cursors of the pages that were passed; the last is that of this page. */
  const [cursors, setCursors] = useState<readonly string[]>([])
  useEffect(() => setCursors([]), [search])
  const [typed, setTyped] = useState(filters.name ?? '')
  // What was typed is asked for a moment later, when other filters may have been chosen
  const latest = useRef(filters)
  latest.current = filters
  const change = (changed: Record<string, string>) =>
    navigate(withQuery('/artifacts', { ...latest.current, ...changed }), { replace: true })
  useEffect(() => {
    if (typed === (filters.name ?? '')) return
    const timer = setTimeout(() => change({ name: typed }), typingMs)
    return () => clearTimeout(timer)
  }, [typed])

  const { label, ...conditions } = filters
  const query = {
    sort: defaultSort(filters),
    ...conditions,
    limit: pageSize,
    ...(cursors.length > 0 ? { cursor: cursors.at(-1) } : {}),
  } as ListQuery
  const page = useLoad(
    async (signal) => {
      const blob_uuid = label && (await labelledBlob(client, label, namespace, signal))
      if (label && !blob_uuid) return { items: [], cursor: undefined, blob_uuid }
      const found = await firstFound(client, blob_uuid ? { ...query, blob_uuid } : query, signal)
      // A label itself holds the blob as well
      const items = label ? found.items.filter((one) => one.artifact_type !== 'label') : found.items
      return { items, cursor: found.cursor, blob_uuid }
    },
    [JSON.stringify(query), label],
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
                <table class="list cards">
                  <thead>
                    <tr>
                      <th scope="col">Name</th>
                      <th scope="col">Type</th>
                      <th scope="col" class="figure">
                        Size
                      </th>
                      <th scope="col" class="figure">
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
      <Command text={commands.listArtifacts(conditions, page.data?.blob_uuid)} />
    </View>
  )
}
