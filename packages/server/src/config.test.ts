import { expect, test } from 'vitest'
import { ConfigError, describeConfig, parseConfig, settings } from './config.ts'

test('an empty environment gives the defaults, and an empty value counts as absent', () => {
  const config = parseConfig({ HOLDFAST_LISTEN: '', PATH: '/bin' })
  for (const [name, setting] of Object.entries(settings))
    expect(config[name as keyof typeof settings], name).toEqual(setting.fallback)
  expect(Object.isFrozen(config)).toBe(true)
})

test('values are parsed with their units', () => {
  const config = parseConfig({
    HOLDFAST_MAX_FILE_SIZE: '10 GiB',
    HOLDFAST_UPLOAD_EXPIRY: '1.5',
    HOLDFAST_FETCH_ALLOW: 'mirror.example, 10.0.0.0/8,',
    HOLDFAST_FETCH_ATTEMPTS: '3',
    HOLDFAST_TRUSTED_PROXIES: '127.0.0.1, 10.0.0.0/8, ::1/128',
  })
  expect(config.maxFileSize).toBe(10 * 1024 ** 3)
  expect(config.uploadExpiry).toBe(1.5)
  expect(config.fetchAllow).toEqual(['mirror.example', '10.0.0.0/8'])
  expect(config.fetchAttempts).toBe(3)
  expect(config.trustedProxies).toEqual(['127.0.0.1', '10.0.0.0/8', '::1/128'])
})

test.each([
  ['HOLDFAST_MAX_FILE_SIZE', '10 GB'],
  ['HOLDFAST_MAX_FILE_SIZE', '-1'],
  ['HOLDFAST_MAX_FILE_SIZE', '9999999999999999 TiB'],
  ['HOLDFAST_UPLOAD_EXPIRY', 'soon'],
  ['HOLDFAST_FETCH_ATTEMPTS', '1.5'],
  ['HOLDFAST_TRUSTED_PROXIES', 'proxy.example'],
  ['HOLDFAST_TRUSTED_PROXIES', '10.0.0.0/33'],
  ['HOLDFAST_LISTNE', '127.0.0.1:1'],
])('%s=%s is refused in words that name the setting', (variable, value) => {
  expect(() => parseConfig({ [variable]: value })).toThrow(ConfigError)
  expect(() => parseConfig({ [variable]: value })).toThrow(variable)
})

test('secrets are masked where settings are shown', () => {
  const shown = JSON.stringify(describeConfig(parseConfig({ HOLDFAST_SYSTEM_KEY: 'hunter2' })))
  expect(shown).not.toContain('hunter2')
  expect(shown).toContain('"HOLDFAST_SYSTEM_KEY":"********"')
})
