/**
 * Converting: turning an upload, or a blob that exists, into a version of an artifact.
 *
 * **The one moment.** Everything that a conversion means to anybody happens in one SQL transaction: blob, version,
 * pruning, events, the record of the conversion, the upload's row gone. Before its commit nobody sees anything,
 * after it everybody does. Bytes are brought where the transaction expects them before it, and cleaned up after it.
 *
 * **The order of things**, for an upload `U` whose content has the digest `D`:
 *
 * 1. Whatever can be refused by looking at the request is refused.
 * 2. `U` is sealed: its writers have ended, its bytes are on stable storage, `D` is known without reading them again.
 *    Size and digest are compared with what the client expects. A refusal here, or a failure in any later step up to the
 *    commit, gives the upload back as it was.
 * 3. If no live blob has `D`, the file becomes the blob file of `U` (a rename: the cost does not depend on the size), and
 *    its headers are read for what kind of image it is.
 * 4. The transaction. It looks again at all that may have changed since: whether `U` is still there and the namespaces
 *    are, and which blob has `D` now. If the blob that step 3 relied on was collected meanwhile, step 3 is done after
 *    all. Of two uploads of equal content at the same time, the second finds the first one's blob and uses that.
 * 5. What is left of `U` is removed. If the blob with `D` was in quarantine, its bytes are replaced by those of `U`, and
 *    only then is the client told of success (healing.ts).
 *
 * **What a crash leaves**, and what the next start does about it (recover.ts):
 * - between 3 and 4: the row of `U`, no data file, a blob file `U` without a row: the file goes back;
 * - after 4: no row of `U`, but its record file or its data file: removed, after healing what they were meant to heal;
 * - in the commit: either of the two. Nobody can tell which when the database goes away at that moment, so a failure
 *    is undone only if the database can be asked and says that nothing was committed.
 *
 * **What may be repeated.** The whole request. The table `conversions` remembers for some days what became of `U`: the
 * same request for the same identity gets the same artifact. Concurrent requests for one upload wait for each
 * other in step 2; those after the first find the upload gone and answer like a repetition. For anything else than a
 * repetition, a converted upload is one that does not exist. Converting a blob may be repeated because a version equal
 * to the newest one is not added again. A deletion of the upload that races a conversion wins or loses in step 4.
 */
import { HoldfastError } from '@holdfast/api/errors'
import type { ArtifactView } from '@holdfast/api/schemas'
import type { Transaction } from 'kysely'
import type { Sql } from '../db/database.ts'
import type { Millis, Row, Schema } from '../db/schema.ts'
import type { Caller, Parts } from '../parts.ts'
import { withRoom } from './admission.ts'
import { viewFor } from './artifacts.ts'
import { type ArtifactWish, checkExpected, convertUpload, type Expected } from './convert-upload.ts'
import { addVersion } from './versions.ts'
import { findWholeBlob, requireNamespace, systemNamespace } from './visibility.ts'

export interface ConvertInput extends Expected {
  readonly name: string
  /** Exactly one of these two. */
  readonly uploadUuid?: string | undefined
  readonly blobUuid?: string | undefined
  /** By default made of the caller's namespace and the name. */
  readonly sourceUrl?: string | undefined
  readonly shared?: boolean | undefined
  /** Where the artifact lives; by default the caller's namespace. */
  readonly namespace?: string | undefined
  /** `image` by default. */
  readonly artifactType?: string | undefined
}

/** Makes a version of the artifact with this identity, which is created when it is new, and shows the artifact. */
export const convert = async (parts: Parts, caller: Caller, input: ConvertInput): Promise<ArtifactView> => {
  const { uploadUuid, blobUuid } = input
  if (uploadUuid !== undefined && blobUuid !== undefined) throw new HoldfastError('one_source_only')
  const wish = readWish(caller, input)
  await requireNamespace(parts.db.read, caller, wish.identity.namespace)
  let artifact: Row<'artifacts'>
  if (uploadUuid !== undefined)
    artifact = await convertUpload(parts, caller, { ...wish, uploadUuid, expected: input })
  else if (blobUuid !== undefined) artifact = await convertBlob(parts, caller, wish, blobUuid, input)
  else throw new HoldfastError('no_source')
  return viewFor(parts, caller, artifact)
}

/** What the request asks for, or why it is refused whatever the upload holds. */
const readWish = (caller: Caller, input: ConvertInput): ArtifactWish => {
  const { name, artifactType: type = 'image', shared = false } = input
  if (type !== 'image' && type !== 'other') throw new HoldfastError('artifact_type_invalid')
  if (shared && caller.namespace !== systemNamespace) throw new HoldfastError('share_system_only')
  return {
    identity: {
      namespace: input.namespace ?? caller.namespace,
      type,
      sourceUrl: input.sourceUrl ?? `sf://upload/${caller.namespace}/${name}`,
      name,
    },
    shared,
  }
}

/** A blob that the caller may see becomes the newest version. */
const convertBlob = async (
  parts: Parts,
  caller: Caller,
  wish: ArtifactWish,
  blobUuid: string,
  expected: Expected,
): Promise<Row<'artifacts'>> => {
  const findExpected = async (sql: Sql): Promise<Row<'blobs'>> => {
    const blob = await findWholeBlob(sql, caller, blobUuid, parts.clock.now())
    checkExpected(expected, blob)
    return blob
  }
  const { namespace } = wish.identity
  const { uuid, size } = await findExpected(parts.db.read)
  const { artifact, added } = await withRoom(parts, { namespace, bytes: size, blobUuid: uuid }, () =>
    parts.db.write(async (trx) => {
      await requireNamespace(trx, caller, namespace)
      const blob = await findExpected(trx)
      return addVersion(trx, parts, caller, { ...wish, blobUuid: blob.uuid })
    }),
  )
  if (added) parts.metrics.conversions.inc({ bytes: 'known' })
  return artifact
}

/** Long enough for every client that may still repeat its request. */
const conversionLifetime: Millis = 3 * 24 * 3600 * 1000

/** The job that forgets conversions old enough that nobody repeats them; resolves with how many went. */
export const pruneConversions = async (trx: Transaction<Schema>, now: Millis): Promise<number> => {
  const { numDeletedRows } = await trx
    .deleteFrom('conversions')
    .where('created_at', '<=', now - conversionLifetime)
    .executeTakeFirstOrThrow()
  return Number(numDeletedRows)
}
