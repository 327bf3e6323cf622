import { str } from './python.ts'

/** The metadata of an artifact or blob, below its facts. */
export const metadataLines = (metadata: Readonly<Record<string, unknown>>, simple: boolean): string[] => {
  const entries = Object.entries(metadata)
  return simple
    ? ['metadata,key,value', ...entries.map(([key, value]) => `metadata,${str(key)},${str(value)}`)]
    : ['Metadata:', ...entries.map(([key, value]) => `    ${str(key).padEnd(8)}: ${str(value)}`)]
}

/** Name and value lines: `name:value`, or names as wide as `width`. */
export const factLines = (
  facts: readonly (readonly [name: string, value: unknown])[],
  simple: boolean,
  width: number,
): string[] =>
  facts.map(([name, value]) => (simple ? `${name}:${str(value)}` : `${name.padEnd(width)}: ${str(value)}`))
