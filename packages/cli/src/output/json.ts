/**
 * `json.dumps(value, indent=4, sort_keys=True)`: four spaces, keys in the order of their code points, nothing but ASCII.
 * `JSON.stringify` cannot do this, because objects put keys like "10" and "9" first and in the order of numbers.
 */
const byCodePoint = (a: string, b: string): number => Buffer.compare(Buffer.from(a), Buffer.from(b))

/** Version numbers are the keys of an artifact's `blobs`, which the official client turns into numbers first. */
const sorted = (keys: string[]): string[] =>
  keys.every((key) => /^(0|[1-9]\d*)$/.test(key))
    ? keys.sort((a, b) => Number(a) - Number(b))
    : keys.sort(byCodePoint)

const text = (value: string): string =>
  JSON.stringify(value).replace(
    /[\u007f-\uffff]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )

const dump = (value: unknown, indent: string): string => {
  if (typeof value === 'string') return text(value)
  if (typeof value !== 'object' || value === null) return JSON.stringify(value ?? null)
  const inner = `${indent}    `
  const [open, close] = Array.isArray(value) ? '[]' : '{}'
  const items = Array.isArray(value)
    ? value.map((item) => dump(item, inner))
    : sorted(Object.keys(value))
        .filter((key) => (value as Record<string, unknown>)[key] !== undefined)
        .map((key) => `${text(key)}: ${dump((value as Record<string, unknown>)[key], inner)}`)
  if (items.length === 0) return `${open}${close}`
  return `${open}\n${items.map((item) => inner + item).join(',\n')}\n${indent}${close}`
}

/** A value as `--json` prints it. */
export const json = (value: unknown): string => dump(value, '')
