import type { VersionView } from '@holdfast/client/browser'
import { useState } from 'preact/hooks'
import { size } from '../../format.ts'
import { Badge } from '../../parts/facts.tsx'

/** Facts of a version that are compared, metadata last. */
const factsOf = (version: VersionView): Record<string, string> => ({
  size: size(version.size),
  'sha-512': version.sha512,
  ...(version['mime-type'] ? { 'mime type': version['mime-type'] } : {}),
  ...(version['file format'] ? { 'file format': version['file format'] } : {}),
  ...Object.fromEntries(
    Object.entries(version.metadata).map(([key, value]) => [`metadata: ${key}`, JSON.stringify(value)]),
  ),
})

/** Two versions side by side. */
export const Comparison = ({ versions }: { versions: readonly VersionView[] }) => {
  const [left, setLeft] = useState(versions[1]!.index)
  const [right, setRight] = useState(versions[0]!.index)
  const find = (index: number) => versions.find((version) => version.index === index) ?? versions[0]!
  const [a, b] = [factsOf(find(left)), factsOf(find(right))]
  const choice = (label: string, value: number, set: (index: number) => void) => (
    <select aria-label={label} value={value} onChange={(event) => set(Number(event.currentTarget.value))}>
      {versions.map(({ index }) => (
        <option key={index} value={index}>
          version {index}
        </option>
      ))}
    </select>
  )
  return (
    <details>
      <summary>Compare two versions</summary>
      <div class="scroll">
        <table class="comparison">
          <thead>
            <tr>
              <th scope="col">
                <span class="unseen">Fact</span>
              </th>
              <td>{choice('The first version', left, setLeft)}</td>
              <td>{choice('The second version', right, setRight)}</td>
              <th scope="col">
                <span class="unseen">Result</span>
              </th>
            </tr>
          </thead>
          <tbody>
            {Object.keys({ ...a, ...b }).map((fact) => (
              <tr key={fact}>
                <th scope="row">{fact}</th>
                <td>
                  {fact === 'sha-512' ? (
                    <code title={a[fact]}>{a[fact]?.slice(0, 16)}…</code>
                  ) : (
                    (a[fact] ?? '–')
                  )}
                </td>
                <td>
                  {fact === 'sha-512' ? (
                    <code title={b[fact]}>{b[fact]?.slice(0, 16)}…</code>
                  ) : (
                    (b[fact] ?? '–')
                  )}
                </td>
                <td>
                  <Badge tone={a[fact] === b[fact] ? 'good' : 'waiting'}>
                    {a[fact] === b[fact] ? 'same' : 'different'}
                  </Badge>
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </details>
  )
}
