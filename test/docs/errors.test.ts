import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { errorsDoc } from '../../scripts/errors-doc.ts'

test('docs/errors.md is what the error table says', () => {
  expect(readFileSync(new URL('../../docs/errors.md', import.meta.url), 'utf8')).toBe(errorsDoc)
})
