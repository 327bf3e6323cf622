/**
 * Values as Python prints them. The official client is written in Python, and what it prints is read by scripts, so
 * `None`, `True` and `{'a': 1}` are part of the format of `--pretty` and `--simple`.
 */

/** Everything outside what Python calls printable. */
const unprintable = /[\p{C}\p{Zl}\p{Zp}]|[\p{Zs}](?<! )/gu

const escapes: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\\t' }

const escaped = (character: string): string => {
  const known = escapes[character]
  if (known !== undefined) return known
  const code = character.codePointAt(0)!
  const hex = code.toString(16)
  if (code < 0x100) return `\\x${hex.padStart(2, '0')}`
  return code < 0x10000 ? `\\u${hex.padStart(4, '0')}` : `\\U${hex.padStart(8, '0')}`
}

const quote = (text: string): string => {
  const mark = text.includes("'") && !text.includes('"') ? '"' : "'"
  const body = text.replaceAll('\\', '\\\\').replaceAll(mark, `\\${mark}`)
  return mark + body.replace(unprintable, escaped) + mark
}

/** `repr(value)`. */
export const repr = (value: unknown): string => {
  if (value === null || value === undefined) return 'None'
  if (value === true) return 'True'
  if (value === false) return 'False'
  if (typeof value === 'string') return quote(value)
  if (Array.isArray(value)) return `[${value.map(repr).join(', ')}]`
  if (typeof value === 'object') {
    const items = Object.entries(value).map(([key, item]) => `${quote(key)}: ${repr(item)}`)
    return `{${items.join(', ')}}`
  }
  return String(value)
}

/**
 * `str(value)`, with control characters made visible: what other people stored may not steer one's terminal. Line
 * breaks and tabs stay.
 */
export const str = (value: unknown): string =>
  typeof value === 'string' ? value.replace(/[^\P{Cc}\n\t]/gu, escaped) : repr(value)

/**
 * `'%.Nf' % (bytes / unit)` for a power of two: exact halves go to the even digit, where `toFixed` goes up.
 * A quotient by a power of two is exact, and so is its product with 10 or 100.
 */
export const fixed = (bytes: number, unit: number, digits: number): string => {
  const value = bytes / unit
  const scaled = value * 10 ** digits
  const floor = Math.floor(scaled)
  if (scaled - floor === 0.5 && floor % 2 === 0) return (floor / 10 ** digits).toFixed(digits)
  return value.toFixed(digits)
}

const two = (value: number): string => String(value).padStart(2, '0')

/** `str(datetime.fromtimestamp(seconds))`: local time to the microsecond. */
export const localTime = (seconds: number): string => {
  let whole = Math.floor(seconds)
  let micro = Math.round((seconds - whole) * 1e6)
  if (micro === 1e6) {
    whole += 1
    micro = 0
  }
  const at = new Date(whole * 1000)
  const day = `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`
  const time = `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`
  return `${day} ${time}${micro === 0 ? '' : `.${String(micro).padStart(6, '0')}`}`
}
