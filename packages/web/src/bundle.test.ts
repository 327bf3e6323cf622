import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import { build, type Rollup } from 'vite'
import { expect, it } from 'vitest'

it('loads under 150 kB of compressed script and style for its first view, and nothing inline', async () => {
  const configFile = fileURLToPath(new URL('../vite.config.ts', import.meta.url))
  const result = (await build({
    configFile,
    logLevel: 'silent',
    build: { write: false },
  })) as Rollup.RollupOutput
  const files = result.output
  const html = files.find(({ fileName }) => fileName === 'index.html') as Rollup.OutputAsset
  const page = String(html.source)
  const loaded = [...page.matchAll(/(?:src|href)="\.\/(assets\/[^"]+)"/g)].map(([, name]) => name)
  expect(loaded.length).toBeGreaterThan(1)
  const bytes = loaded.map((name) => {
    const file = files.find(({ fileName }) => fileName === name)!
    return gzipSync(file.type === 'chunk' ? file.code : file.source).length
  })
  const kilobytes = bytes.reduce((sum, size) => sum + size, 0) / 1000
  console.log(`the page's first view: ${kilobytes.toFixed(1)} kB gzip`)
  expect(kilobytes).toBeLessThan(150)
  expect(page).not.toMatch(/<style|style=|<script(?![^>]*\bsrc=)|https?:\/\//)
})
