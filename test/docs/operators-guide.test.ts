import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { withTables } from '../../scripts/operators-guide.ts'

test('docs/operators-guide.md has the settings and the metrics that the server has', async () => {
  const page = readFileSync(new URL('../../docs/operators-guide.md', import.meta.url), 'utf8')
  expect(page).toBe(await withTables(page))
})
