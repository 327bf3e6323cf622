import { expect, test } from 'vitest'
import { ConfigError, parseConfig } from '../config.ts'
import { checkOffload } from './offload.ts'

const good = { HOLDFAST_ACCEL_REDIRECT: '/holdfast-blobs/', HOLDFAST_TRUSTED_PROXIES: '127.0.0.1' }

test('it is off by default, and needs a proxy that is trusted', () => {
  checkOffload(parseConfig({}))
  checkOffload(parseConfig(good))
})

test.each([
  [{ HOLDFAST_TRUSTED_PROXIES: '' }, /HOLDFAST_TRUSTED_PROXIES/],
  [{ HOLDFAST_BLOB_STORE: 's3://bucket' }, /HOLDFAST_BLOB_STORE/],
  [{ HOLDFAST_EXTENSIONS: 'off' }, /HOLDFAST_EXTENSIONS/],
  [{ HOLDFAST_ACCEL_REDIRECT: 'holdfast-blobs/' }, /slash at both ends/],
  [{ HOLDFAST_ACCEL_REDIRECT: '/holdfast blobs/' }, /slash at both ends/],
])('%j does not go together with it', (changed, words) => {
  const check = () => checkOffload(parseConfig({ ...good, ...changed }))
  expect(check).toThrow(ConfigError)
  expect(check).toThrow(words)
})
