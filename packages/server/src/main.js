/**
 * The entry point. It only prepares the process, before the first module of the server is loaded; `run.ts` goes on.
 *
 * Node strips the types from every module at each start, in every thread anew. The compile cache spares that from the
 * second start on, which is worth a second and tens of megabytes. It stands in `node_modules`, not in the shared
 * temporary directory, because what is in it is run. This file is
 * JavaScript, because for a single module of TypeScript outside the cache Node loads its type stripper, which stays in memory.
 *
 * V8 lets the space for young objects grow as long as there is garbage; while files stream through there is always
 * garbage, and the space would grow for nothing. What it takes for old it collects late, when there is half as much
 * again; for the few megabytes of a server a fifth is soon enough. All these are hints: the server works without them.
 */
import { enableCompileCache } from 'node:module'
import { fileURLToPath } from 'node:url'
import { setFlagsFromString } from 'node:v8'

// The variable is for the threads of this process, which know nothing of the call.
process.env.NODE_COMPILE_CACHE ??= fileURLToPath(
  new URL('../../../node_modules/.cache/holdfast', import.meta.url),
)

setFlagsFromString('--semi-space-growth-factor=1')
setFlagsFromString('--heap-growing-percent=20')
enableCompileCache(process.env.NODE_COMPILE_CACHE)

// With words after it, it is a tool for a store at rest.
await import(process.argv.length > 2 ? './backup/command.ts' : './run.ts')
