/**
 * Tables as PrettyTable draws them, to the last space: centred, one space beside each cell, no lines between rows. Of a
 * space too many, the side of the shorter rest gets none; that rule is PrettyTable's, and no table library shares it.
 */
import stringWidth from 'string-width'
import { str } from './python.ts'

const widthOf = (line: string): number => stringWidth(line)

const centre = (line: string, width: number): string => {
  const own = widthOf(line)
  const excess = width - own
  const less = Math.floor(excess / 2)
  const left = excess % 2 === 1 && own % 2 === 0 ? less + 1 : less
  return ' '.repeat(left) + line + ' '.repeat(excess - left)
}

/** A table with a row of names and rows of values; cells may have several lines. */
export const table = (names: readonly string[], rows: readonly (readonly unknown[])[]): string => {
  const cells = [names, ...rows].map((row) => row.map((cell) => str(cell).split('\n')))
  const widths = names.map((_, column) =>
    Math.max(...cells.flatMap((row) => row[column]!.map((line) => widthOf(line)))),
  )
  const rule = `+${widths.map((width) => '-'.repeat(width + 2)).join('+')}+`
  const [head, ...body] = cells.map((row) => {
    const height = Math.max(...row.map((cell) => cell.length))
    return Array.from({ length: height }, (_, line) => {
      const parts = widths.map((width, column) => ` ${centre(row[column]![line] ?? '', width)} `)
      return `|${parts.join('|')}|`
    })
  })
  return [rule, ...head!, rule, ...body.flat(), rule].join('\n')
}

/** Rows of `--simple`: values between commas, as they are. */
export const simpleRows = (head: string, rows: readonly (readonly unknown[])[]): string =>
  [head, ...rows.map((row) => row.map(str).join(','))].join('\n')
