/** `holdfast admin verify`. */
import { setTimeout as sleep } from 'node:timers/promises'
import { HoldfastError, type Reply } from '@holdfast/client'
import type { NodeClient } from '@holdfast/client/node'
import type { Command } from 'commander'
import { action, define } from '../command.ts'
import type { Context } from '../context.ts'
import { UsageError, UserError } from '../failures.ts'
import { type Verification, verificationText } from '../output/admin.ts'
import { json } from '../output/json.ts'
import { size } from '../output/units.ts'

interface Options {
  readonly all?: boolean
  readonly wait?: boolean
}

/** Seconds that the server may wait before it says how far it is. */
const waitSeconds = 10
const pollMs = 2000

type BlobVerification = Reply<'showBlobVerification'>

const verifyOne = async (context: Context, client: NodeClient, uuid: string): Promise<BlobVerification> => {
  const params = { blob_uuid: uuid }
  let now = await client.call('verifyBlob', { params, body: { wait: waitSeconds } })
  while (now.state === 'running') {
    context.note(`read ${size(now.read_bytes)} of ${size(now.size)}`)
    await sleep(pollMs, undefined, { signal: context.signal })
    now = await client.call('showBlobVerification', { params })
  }
  if (now.state === 'none') throw new UserError('the server was started anew meanwhile; ask again')
  return now
}

const printOne = async (context: Context, uuid: string): Promise<void> => {
  const found = await verifyOne(context, await context.client(), uuid)
  if (context.shape === 'json') context.print(json(found))
  if (found.error !== undefined) throw new UserError(`${uuid} was not verified: ${found.error}`)
  if (context.shape === 'simple') context.print(`${uuid},${found.verdict}`)
  if (context.shape === 'pretty') context.print(`${uuid} of ${found.size} bytes: ${found.verdict}`)
  if (found.verdict === 'damaged') throw new HoldfastError('blob_damaged')
}

/** Follows the verification of all until nothing is left to read. */
const follow = async (context: Context, client: NodeClient, first: Verification): Promise<Verification> => {
  let now = first
  while (now.due.blobs + now.unverified > 0) {
    context.note(
      `still to read: ${now.due.blobs} blobs, ${size(now.due.bytes)}, and ${now.unverified} new ones`,
    )
    await sleep(pollMs, undefined, { signal: context.signal })
    now = await client.call('showVerification')
  }
  return now
}

export const fillVerify = (parent: Command, exampleUuid: string): void => {
  define(parent, 'verify [blob_uuid]', {
    description:
      'Have a blob, or all, read again and compared with their digests; without either, show the state.',
    examples: [
      'admin verify',
      `admin verify ${exampleUuid}`,
      'admin verify --all',
      'admin verify --all --wait',
    ],
    more:
      'It goes on in the server when this command is interrupted. It ends with exit code 6 if the blob is damaged, or, ' +
      'after --wait,\nif any is.',
  })
    .option('--all', 'ask for all blobs, those in quarantine included')
    .option('--wait', 'with --all: wait for the end')
    .action(
      action(async (context, uuid: string | undefined, { all = false, wait = false }: Options) => {
        if (all && uuid !== undefined) throw new UsageError('name a blob or use --all, not both')
        if (wait && !all)
          throw new UsageError('--wait goes with --all', 'One blob is waited for in any case.')
        if (uuid !== undefined) return await printOne(context, uuid)
        const client = await context.client()
        const asked = await client.call(all ? 'verifyAll' : 'showVerification')
        const now = wait ? await follow(context, client, asked) : asked
        context.print(context.shape === 'json' ? json(now) : verificationText(now, context.shape))
        if (wait && now.quarantined > 0) {
          const message = `damaged blobs: ${now.quarantined}; \`holdfast admin quarantine\` lists them`
          throw new HoldfastError('blob_damaged', { message })
        }
      }),
    )
}
