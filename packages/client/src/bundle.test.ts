import { gzipSync } from 'node:zlib'
import { build, type Rollup } from 'vite'
import { describe, expect, it } from 'vitest'

/** What a page loads for an entry point, without the files that it loads later. */
const bundle = async (code: string): Promise<Rollup.OutputChunk[]> => {
  const entry = 'virtual:entry'
  const result = await build({
    configFile: false,
    root: new URL('..', import.meta.url).pathname,
    logLevel: 'silent',
    worker: { format: 'es' },
    plugins: [
      {
        name: 'entry',
        resolveId: (id) =>
          id === entry ? `${new URL('.', import.meta.url).pathname}virtual-entry.ts` : undefined,
        load: (id) => (id.endsWith('/virtual-entry.ts') ? code : undefined),
      },
    ],
    build: {
      write: false,
      target: 'es2024',
      lib: { entry, formats: ['es'], fileName: 'entry' },
    },
  })
  const [output] = (Array.isArray(result) ? result : [result]) as Rollup.RollupOutput[]
  return output!.output.filter((file): file is Rollup.OutputChunk => file.type === 'chunk')
}

const kilobytes = (code: string) => gzipSync(code).length / 1024

describe('the bundle of a page that uploads', () => {
  it('is under 15 kB and loads neither Node nor the schemas nor the hash', async () => {
    const chunks = await bundle(`export { createClient } from './browser/index.ts'`)
    const [main] = chunks.filter((chunk) => chunk.isEntry)
    const size = kilobytes(main!.code)
    console.log(`for uploads in a browser: ${size.toFixed(1)} kB gzip`)
    expect(size).toBeLessThan(15)
    expect(size).toBeGreaterThan(2)
    const modules = Object.keys(main!.modules)
    expect(
      modules.filter((id) => /node_modules|\/node\/|schemas\.ts|contract\.ts|hash-wasm/.test(id)),
    ).toEqual([])
    expect(main!.code).not.toMatch(/from\s*"node:/)
  })
})
