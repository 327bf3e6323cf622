/** `holdfast status`. */
import type { ArtifactView } from '@holdfast/client'
import type { NodeClient } from '@holdfast/client/node'
import type { Command } from 'commander'
import { action, explainCommand } from '../command.ts'
import { json } from '../output/json.ts'
import { factLines } from '../output/metadata.ts'
import { count, size } from '../output/units.ts'

const pageSize = 1000

interface Usage {
  artifacts: number
  labels: number
  versions: number
  /** Bytes of all versions' blobs, each blob once. */
  bytes: number
}

/** All artifacts of a namespace, a page at a time where the server has pages. */
async function* artifactsOf(client: NodeClient, namespace: string): AsyncGenerator<ArtifactView> {
  const words = await client.capabilities()
  let cursor: string | undefined
  do {
    const query = words.has('paged-lists')
      ? { namespace, limit: pageSize, ...(cursor === undefined ? {} : { cursor }) }
      : {}
    const page = await client.page('listArtifacts', { query })
    yield* page.items.filter((artifact) => artifact.namespace === namespace)
    cursor = page.cursor
  } while (cursor !== undefined)
}

const usageOf = async (client: NodeClient, namespace: string): Promise<Usage> => {
  const usage: Usage = { artifacts: 0, labels: 0, versions: 0, bytes: 0 }
  const seen = new Set<string>()
  for await (const { artifact_type, blobs } of artifactsOf(client, namespace)) {
    if (artifact_type === 'label') usage.labels++
    else usage.artifacts++
    for (const { uuid, size: bytes } of Object.values(blobs)) {
      if (artifact_type !== 'label') usage.versions++
      if (!seen.has(uuid)) usage.bytes += bytes
      seen.add(uuid)
    }
  }
  return usage
}

export const fillStatus = (command: Command): void => {
  explainCommand(command, {
    examples: ['status', '--json status'],
  }).action(
    action(async (context) => {
      const { namespace = '', source } = await context.config()
      const client = await context.client()
      const capabilities = [...(await client.capabilities())].sort()
      const uploads = capabilities.includes('upload-status') ? await client.uploads.list() : []
      const usage = await usageOf(client, namespace)
      if (context.shape === 'json') {
        context.print(
          json({ server: client.base, namespace, settings_from: source, capabilities, uploads, usage }),
        )
        return
      }
      const inFlight = uploads.reduce((sum, upload) => sum + upload.size, 0)
      const facts: [string, unknown][] = [
        ['server', client.base],
        ['namespace', namespace],
        ['settings from', source],
        ['artifacts', `${usage.artifacts} with ${count(usage.versions, 'version')}`],
        ['labels', usage.labels],
        ['stored', size(usage.bytes)],
        ['unfinished uploads', uploads.length === 0 ? 0 : `${uploads.length} with ${size(inFlight)}`],
        ['capabilities', capabilities.join(' ')],
      ]
      context.print(factLines(facts, context.shape === 'simple', 18).join('\n'))
    }),
  )
}
