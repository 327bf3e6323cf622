import type { VersionView } from '@holdfast/client/browser'
import type { ComponentChildren } from 'preact'
import { useState } from 'preact/hooks'
import { size } from '../../format.ts'
import { Badge } from '../../parts/facts.tsx'
import { Table } from '../../parts/table.tsx'

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

const Fact = ({ name, value }: { name: string; value: string | undefined }): ComponentChildren =>
  name === 'sha-512' && value ? <code title={value}>{value.slice(0, 16)}…</code> : (value ?? '–')

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
      <div class="row comparison">
        {choice('The first version', left, setLeft)}
        {choice('The second version', right, setRight)}
      </div>
      <Table
        label="Comparison"
        columns={['Fact', `Version ${left}`, `Version ${right}${left === right ? ' again' : ''}`, 'Result']}
        none=""
        rows={Object.keys({ ...a, ...b }).map((fact) => ({
          key: fact,
          cells: [
            fact,
            <Fact name={fact} value={a[fact]} />,
            <Fact name={fact} value={b[fact]} />,
            <Badge tone={a[fact] === b[fact] ? 'good' : 'waiting'}>
              {a[fact] === b[fact] ? 'same' : 'different'}
            </Badge>,
          ],
        }))}
      />
    </details>
  )
}
