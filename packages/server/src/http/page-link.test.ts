import { expect, test } from 'vitest'
import { nextPageLink } from './page-link.ts'

test('the link keeps the query and replaces the cursor, below whatever path the request came to', () => {
  const link = nextPageLink({ limit: 2, name: 'a&b ü', cursor: 'old', type: undefined }, 'new')
  const [, target] = /^<(.+)>; rel="next"$/.exec(link)!
  const url = new URL(target!, 'https://proxy.example/api/artifacts?limit=2&cursor=old')
  expect(url.pathname).toBe('/api/artifacts')
  expect(Object.fromEntries(url.searchParams)).toEqual({ limit: '2', name: 'a&b ü', cursor: 'new' })
})
