/**
 * Builds the page that the server serves at `/ui/` into `packages/web/dist`, with compressed copies beside its files, so
 * that no request costs a compression. `npm ci` runs it: see docs/decisions/0030-page-built-at-install.md.
 */
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { brotliCompressSync, gzipSync } from 'node:zlib'
import { build } from 'vite'

const configFile = fileURLToPath(new URL('../packages/web/vite.config.ts', import.meta.url))
const dist = fileURLToPath(new URL('../packages/web/dist', import.meta.url))

await build({ configFile, logLevel: 'warn' })
for (const name of await readdir(dist, { recursive: true })) {
  if (!/\.(html|js|css|svg)$/.test(name)) continue
  const path = join(dist, name)
  const text = await readFile(path)
  await writeFile(`${path}.br`, brotliCompressSync(text))
  await writeFile(`${path}.gz`, gzipSync(text, { level: 9 }))
}
