import type { ComponentChildren } from 'preact'

interface TableProps {
  readonly label: string
  /** A name that begins with `#` is that of a column of figures; an empty one of a column of buttons. */
  readonly columns: readonly string[]
  readonly rows: readonly { readonly key: string; readonly cells: readonly ComponentChildren[] }[]
  /** What is said when there are no rows. */
  readonly none: string
}

/** A plain table; the first cell of a row is its heading. On narrow screens each row is a card, with names at its cells. */
export const Table = ({ label, columns, rows, none }: TableProps) => {
  const classOf = (at: number) => (columns[at]?.startsWith('#') ? 'figure' : columns[at] ? '' : 'actions')
  const nameOf = (at: number) => columns[at]?.replace('#', '')
  if (rows.length === 0) return <p class="minor">{none}</p>
  return (
    <div class="scroll">
      <table aria-label={label} class="cards">
        <thead>
          <tr>
            {columns.map((name, at) => (
              <th key={name} scope="col" class={classOf(at)}>
                {nameOf(at) || <span class="unseen">Actions</span>}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map(({ key, cells }) => (
            <tr key={key}>
              {cells.map((cell, at) =>
                at === 0 ? (
                  <th key={columns[at]} scope="row">
                    {cell}
                  </th>
                ) : (
                  <td key={columns[at]} class={classOf(at)} data-name={nameOf(at)}>
                    {cell}
                  </td>
                ),
              )}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  )
}
