import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import { build, type Rollup } from 'vite'
import { expect, it } from 'vitest'

/** What a page loads for an entry point, without the files that it loads later, as a worker is. */
const bundle = async (entry: string): Promise<Rollup.OutputChunk> => {
  const result = await build({
    configFile: false,
    logLevel: 'silent',
    worker: { format: 'es' },
    build: {
      write: false,
      minify: true,
      target: 'es2024',
      // Not as a library: those keep their whitespace and have their workers inside
      rollupOptions: { input: entry, preserveEntrySignatures: 'strict' },
    },
  })
  const [output] = (Array.isArray(result) ? result : [result]) as Rollup.RollupOutput[]
  const chunks = output!.output.filter((file): file is Rollup.OutputChunk => file.type === 'chunk')
  return chunks.find((chunk) => chunk.isEntry)!
}

it('loads under 15 kB for uploads in a page, and neither Node nor the schemas nor the hash', async () => {
  const { code, moduleIds } = await bundle(fileURLToPath(new URL('./browser/index.ts', import.meta.url)))
  const kilobytes = gzipSync(code).length / 1024
  console.log(`uploads in a page: ${kilobytes.toFixed(1)} kB gzip`)
  expect(kilobytes).toBeLessThan(15)
  // The engine is in it
  expect(code).toContain('Upload-Offset')
  const unwanted = /\/node_modules\/|\/src\/node\/|schemas\.ts|contract\.ts/
  expect(moduleIds.filter((id) => unwanted.test(id))).toEqual([])
  expect(code).not.toMatch(/from\s*["']node:/)
})
