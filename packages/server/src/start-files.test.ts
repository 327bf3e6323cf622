import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { writeClientFile } from './client-file.ts'
import { ConfigError } from './config.ts'
import { localUrl, parseListen } from './listen-address.ts'

test.each([
  ['127.0.0.1:13000', '127.0.0.1', 13000, 'http://127.0.0.1:13000'],
  ['localhost:0', 'localhost', 0, 'http://localhost:0'],
  ['0.0.0.0:80', '0.0.0.0', 80, 'http://127.0.0.1:80'],
  ['[::]:80', '::', 80, 'http://[::1]:80'],
  ['[fe80::1]:65535', 'fe80::1', 65535, 'http://[fe80::1]:65535'],
])('%s', (text, host, port, url) => {
  expect(parseListen(text)).toEqual({ host, port })
  expect(localUrl({ host, port }, 'http')).toBe(url)
})

test.each(['nowhere', '13000', ':13000', 'host:65536', 'host:', '::1:80', 'http://host:80', 'a b:80'])(
  '%s is refused in words that name the setting',
  (text) => {
    expect(() => parseListen(text)).toThrow(ConfigError)
    expect(() => parseListen(text)).toThrow('HOLDFAST_LISTEN')
  },
)

test('the client file is replaced whole and is private, whatever was there', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'holdfast-test-'))
  try {
    const path = join(directory, 'client.json')
    await writeFile(`${path}.new`, 'left by a crash, and longer than what follows '.repeat(10), {
      mode: 0o644,
    })
    const content = { namespace: 'system', key: 'k', apiurl: 'http://x' }
    await writeClientFile(path, content)
    expect(JSON.parse(await readFile(path, 'utf8'))).toEqual(content)
    expect((await stat(path)).mode & 0o777).toBe(0o600)
  } finally {
    await rm(directory, { recursive: true })
  }
})
