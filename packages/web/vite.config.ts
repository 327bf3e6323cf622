/** How the page is built. `scripts/build-page.ts` runs it and adds the compressed copies. */
import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vite'

export default defineConfig({
  root: fileURLToPath(new URL('.', import.meta.url)),
  // Relative, so that the page works behind a proxy that serves the store under a path of its own.
  base: './',
  worker: { format: 'es' },
  build: {
    outDir: fileURLToPath(new URL('dist', import.meta.url)),
    emptyOutDir: true,
    target: 'es2024',
    // The server's policy allows no data: URLs for scripts and fonts, and files with hashes in their names are cached for ever.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
})
