import { expect, test } from 'vitest'
import { ConfigError } from './config.ts'
import { parsePublicUrl, withoutBasePath } from './public-url.ts'

test('the URL and its path lose the slash at their end', () => {
  expect(parsePublicUrl('')).toEqual({ url: '', path: '' })
  expect(parsePublicUrl('https://files.example/')).toEqual({ url: 'https://files.example', path: '' })
  expect(parsePublicUrl('http://[::1]:8080/a/b-c/')).toEqual({
    url: 'http://[::1]:8080/a/b-c',
    path: '/a/b-c',
  })
})

test.each([
  'files.example',
  'ftp://files.example',
  'https://user:secret@files.example',
  'https://files.example/?a=b',
  'https://files.example/with%20space',
  'https://files.example/artifacts',
  'https://files.example/ui/more',
])('%s is refused, without what may be a password', (text) => {
  expect(() => parsePublicUrl(text)).toThrow(ConfigError)
  expect(() => parsePublicUrl(text)).not.toThrow(/secret/)
})

test.each([
  ['/api', '/api', '/'],
  ['/api', '/api/', '/'],
  ['/api', '/api?x=/api', '/?x=/api'],
  ['/api', '/api/artifacts?limit=1', '/artifacts?limit=1'],
  ['/api', '/api//auth', '//auth'],
  ['/api', '/apidocs/', '/apidocs/'],
  ['/api', '/artifacts/api', '/artifacts/api'],
  ['/api', '/', '/'],
  ['/a/b', '/a/c', '/a/c'],
  ['', '/artifacts', '/artifacts'],
])('below %s, %s is %s', (path, target, inside) => {
  expect(withoutBasePath(path, target)).toBe(inside)
})
