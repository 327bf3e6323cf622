/** Lets the server fetch a URL, and waits until it has. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { ArtifactView, EventView } from '@holdfast/client'
import type { NodeClient } from '@holdfast/client/node'
import type { Context } from '../context.ts'
import { AdvisedError, UserError } from '../failures.ts'

const firstPauseMs = 250
const longestPauseMs = 5000
const noteEveryMs = 10_000

/** Answers the UUID of the blob with what the URL holds now. */
export const fetchUrl = async (
  context: Context,
  url: string,
  namespace: string | undefined,
): Promise<string> => {
  const client = await context.client()
  const artifact = await client.artifacts.fetch({ url, ...(namespace === undefined ? {} : { namespace }) })
  context.note(`The server fetches ${url}`)
  try {
    return await waitFor(context, client, artifact)
  } catch (error) {
    const advice = context.signal.aborted
      ? [`The server goes on fetching. To see how far it is: holdfast artifact show ${artifact.uuid}`]
      : [`What happened: holdfast artifact events ${artifact.uuid}`]
    throw new AdvisedError(error, advice)
  }
}

const waitFor = async (context: Context, client: NodeClient, started: ArtifactView): Promise<string> => {
  let notedAt = performance.now()
  for (let pause = firstPauseMs; ; pause = Math.min(longestPauseMs, pause * 1.5)) {
    const artifact = await client.artifacts.show(started.uuid)
    if (artifact.state === 'deleted') throw new UserError('somebody deleted the artifact meanwhile')
    if (artifact.state === 'error')
      throw new UserError(`the server cannot fetch it: ${artifact.error ?? 'no reason given'}`)
    // A first fetch is over when the artifact exists; for a later one only the history tells
    const isOver =
      artifact.state === 'created' &&
      (started.state === 'initial' || laterFetchIsOver(await client.artifacts.events(artifact.uuid)))
    if (isOver && artifact.blob_uuid !== undefined) return artifact.blob_uuid
    if (performance.now() - notedAt > noteEveryMs) {
      context.note('The server is still fetching ...')
      notedAt = performance.now()
    }
    await sleep(pause, undefined, { signal: context.signal })
  }
}

/** Looks at a history, newest first, for the end of the fetch that was asked for last. */
const laterFetchIsOver = (events: readonly EventView[]): boolean => {
  for (const { message } of events) {
    if (message.startsWith('fetch failed')) throw new UserError(`the server cannot fetch it: ${message}`)
    if (message.startsWith('fetch finished') || message.startsWith('fetch found no change')) return true
    // A server that says nothing of fetches in its history leaves us with what there is
    if (message.startsWith('fetch requested')) return false
  }
  return true
}
