/**
 * Writes the tables of `docs/operators-guide.md`, settings and metrics, from the code that defines them:
 * `node scripts/operators-guide.ts`. A test holds page and code equal.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { settings } from '../packages/server/src/config.ts'
import { createMetrics } from '../packages/server/src/metrics.ts'

const guide = new URL('../docs/operators-guide.md', import.meta.url)

const units = {
  bytes: { TiB: 1024 ** 4, GiB: 1024 ** 3, MiB: 1024 ** 2, KiB: 1024 },
  seconds: { days: 86_400, hours: 3600, minutes: 60 },
}

/** A default as one would write it, and in words where that is hard to read. */
const write = (value: unknown, unit: 'bytes' | 'seconds' | undefined): string => {
  if (typeof value === 'boolean') return value ? '`on`' : '`off`'
  if (value === undefined || value === '' || (Array.isArray(value) && value.length === 0)) return ''
  if (typeof value !== 'number' || unit === undefined) return `\`${value}\``
  const [word, size] = Object.entries(units[unit]).find(([, size]) => value > 0 && value % size === 0) ?? []
  if (size === undefined) return `\`${value}\``
  const count = value / size
  return unit === 'bytes'
    ? `\`${count} ${word}\``
    : `\`${value}\` (${count} ${count === 1 ? word!.slice(0, -1) : word})`
}

const settingsTable = () =>
  [
    '| setting | default | meaning |',
    '| --- | --- | --- |',
    ...Object.entries(settings).map(([name, { variable, fallback, meaning, ...rest }]) => {
      const unit = 'unit' in rest ? rest.unit : undefined
      // The default is another on every machine.
      const shown = name === 'nodeName' ? 'the host name' : write(fallback, unit)
      return `| \`${variable}\` | ${shown} | ${meaning} |`
    }),
  ].join('\n')

const metricsTable = async () => {
  const metrics = await createMetrics().registry.getMetricsAsJSON()
  return [
    '| metric | kind | what it tells |',
    '| --- | --- | --- |',
    ...metrics
      .filter(({ name }) => name.startsWith('holdfast_'))
      .map(({ name, type, help }) => `| \`${name}\` | ${type} | ${help} |`),
  ].join('\n')
}

/** The page with its tables as they should be. */
export const withTables = async (page: string): Promise<string> => {
  let text = page
  for (const [name, table] of Object.entries({ settings: settingsTable(), metrics: await metricsTable() })) {
    const begin = `<!-- begin ${name} -->\n`
    const [from, to] = [text.indexOf(begin) + begin.length, text.indexOf(`<!-- end ${name} -->`)]
    if (from < begin.length || to < from) throw new Error(`the guide has no place for its ${name}`)
    text = `${text.slice(0, from)}${table}\n${text.slice(to)}`
  }
  return text
}

if (process.argv[1] === import.meta.filename)
  writeFileSync(guide, await withTables(readFileSync(guide, 'utf8')))
