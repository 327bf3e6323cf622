/**
 * The header `Range` (RFC 9110, section 14): one range of bytes.
 */

/** From the first to the last byte, both included. */
export interface ByteRange {
  readonly first: number
  readonly last: number
}

/**
 * Which bytes of `size` the header asks for. Undefined when the header is to be ignored, as the RFC wants it for
 * other units and malformed ranges and allows it for several ranges at once.
 */
export const parseRange = (header: string, size: number): ByteRange | 'unsatisfiable' | undefined => {
  const match = /^bytes=[ \t]*(\d*)-(\d*)[ \t]*$/i.exec(header)
  if (!match) return undefined
  const [, first, last] = match as unknown as [string, string, string]
  if (first === '') {
    if (last === '') return undefined
    const length = Math.min(Number(last), size)
    return length === 0 ? 'unsatisfiable' : { first: size - length, last: size - 1 }
  }
  if (last !== '' && Number(last) < Number(first)) return undefined
  if (Number(first) >= size) return 'unsatisfiable'
  return { first: Number(first), last: last === '' ? size - 1 : Math.min(Number(last), size - 1) }
}
