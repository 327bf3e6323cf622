import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ConfigError, loadConfig } from './config.ts'

let directory: string
let file: string
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'holdfast-config-'))
  file = join(directory, 'shakenfist')
  await writeFile(file, JSON.stringify({ apiurl: 'http://file', namespace: 'nf', key: 'kf' }))
})
afterAll(() => rm(directory, { recursive: true }))

const environment = {
  SHAKENFIST_API_URL: 'http://environment',
  SHAKENFIST_NAMESPACE: 'ne',
  SHAKENFIST_KEY: 'ke',
}

describe('loadConfig', () => {
  it('prefers flags to the environment, one by one', async () => {
    expect(await loadConfig({ url: 'http://flag', key: 'k' }, environment, [file])).toEqual({
      url: 'http://flag',
      namespace: 'ne',
      key: 'k',
      source: 'flags',
    })
  })

  it('prefers the environment to files', async () => {
    expect(await loadConfig({}, environment, [file])).toMatchObject({ url: 'http://environment', key: 'ke' })
  })

  it('reads the first file that names a server', async () => {
    const config = await loadConfig({}, {}, [join(directory, 'missing'), file])
    expect(config).toEqual({ url: 'http://file', namespace: 'nf', key: 'kf', source: file })
  })

  it('sends no key of a file to a server that the file does not name', async () => {
    const config = await loadConfig({ url: 'http://flag' }, {}, [file])
    expect(config.key).toBeUndefined()
  })

  it('says what is missing and what is broken', async () => {
    await expect(loadConfig({}, {}, [])).rejects.toBeInstanceOf(ConfigError)
    const broken = join(directory, 'broken')
    await writeFile(broken, '{')
    await expect(loadConfig({}, {}, [broken])).rejects.toThrow('not valid JSON')
  })
})
