/**
 * For tests only: uploads with content, and what a refusal says.
 */
import { isHoldfastError } from '@holdfast/api/errors'
import type { Caller, Parts } from '../parts.ts'
import { createTestParts, type TestParts } from '../test-parts.ts'
import { makeNamespaces } from './blob-fixture.ts'
import { appendToUpload, createUpload } from './uploads.ts'

/** Parts with the namespaces `system`, `alice` and `bob`. */
export const setUp = async (settings?: Parameters<typeof createTestParts>[0]): Promise<TestParts> => {
  const parts = await createTestParts(settings)
  await makeNamespaces(parts, 'system', 'alice', 'bob')
  return parts
}

/** Appends to an upload; conditionally if an offset is given. */
export const append = (
  parts: Parts,
  caller: Caller,
  uuid: string,
  content: string | Uint8Array | AsyncIterable<Uint8Array>,
  { offset, length }: { offset?: number; length?: number } = {},
): Promise<{ size: number }> => {
  const isBytes = typeof content === 'string' || content instanceof Uint8Array
  return appendToUpload(parts, caller, uuid, {
    stream: isBytes ? once(Buffer.from(content)) : content,
    contentLength: length,
    expectedOffset: offset,
    signal: new AbortController().signal,
  })
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes
}

/** An upload with this content. */
export const upload = async (parts: Parts, caller: Caller, content: string | Uint8Array): Promise<string> => {
  const { uuid } = await createUpload(parts, caller)
  if (content.length > 0) await append(parts, caller, uuid, content)
  return uuid
}

/** The code with which `work` was refused; `none` when it was not. */
export const refusal = (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => 'none',
    (error) => (isHoldfastError(error) ? error.code : String(error)),
  )

/** The bytes of a blob as they are stored. */
export const bytesOf = async (parts: Parts, uuid: string): Promise<Buffer> => {
  const reader = await parts.blobs.open(uuid)
  try {
    const target = Buffer.alloc(reader.size)
    await reader.read(target, 0)
    return target
  } finally {
    await reader.close()
  }
}

/** Every row of a table that these tests compare before and after. */
export const snapshot = async (parts: Parts) => {
  const all = (table: 'artifacts' | 'versions' | 'blobs' | 'conversions' | 'uploads' | 'fetches') =>
    parts.db.read.selectFrom(table).selectAll().execute()
  return {
    artifacts: await all('artifacts'),
    versions: await all('versions'),
    blobs: await all('blobs'),
    conversions: await all('conversions'),
    uploads: await all('uploads'),
    fetches: await all('fetches'),
  }
}
