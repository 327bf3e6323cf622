/**
 * Finding a blob by its digest: what a client asks before it sends bytes that may be here already.
 */
import type { BlobView } from '@holdfast/api/schemas'
import { asLiteral } from '../db/database.ts'
import { fixed, prepared, type QueryValues } from '../db/prepared.ts'
import type { Row } from '../db/schema.ts'
import type { Caller, Parts } from '../parts.ts'
import { blobView } from './blob-view.ts'
import { type HashAlgorithm, recordUse, requireAlgorithm } from './blobs.ts'
import { leaseBlob } from './leases.ts'
import { preparedReach, type Reach, reachOf, readableBlobs, type Sql } from './visibility.ts'

/** Nobody can make two contents with one of these digests, so they may stand for the content. */
const leadsToReuse = (algorithm: HashAlgorithm): boolean => algorithm === 'sha512' || algorithm === 'sha256'

/**
 * The blob with this digest, if the caller may see it; else null. A blob that exists for others only, one that does
 * not exist, a digest of the wrong form and a damaged blob (so that the client sends, and thereby heals it) all give
 * the same null, by the same one query, so that neither answer nor time tells of other namespaces' content.
 *
 * A hit by sha512 or sha256 leases the blob to the caller's namespace, so that it stays until it has been used.
 * Throws `hash_algorithm_unknown`.
 */
export const findBlobByHash = async (
  parts: Parts,
  caller: Caller,
  algorithmName: string,
  hash: string,
): Promise<BlobView | null> => {
  const algorithm = requireAlgorithm(algorithmName)
  const { read } = parts.db
  const found = await lookUp(read, parts, caller, algorithm, hash)
  if (!found) return null
  if (leadsToReuse(algorithm) && !(await leaseIfStillThere(parts, caller, algorithm, hash, found.uuid)))
    return null
  return blobView(read, await reachOf(read, caller), found, parts, { leasesOf: caller.namespace })
}

const lookUp = async (
  sql: Sql,
  parts: Parts,
  caller: Caller,
  algorithm: HashAlgorithm,
  hash: string,
): Promise<Row<'blobs'> | undefined> => {
  const [found] = await selectByDigest(sql, {
    algorithm: fixed(algorithm),
    digest: hash.toLowerCase(),
    reach: preparedReach(await reachOf(sql, caller)),
    namespace: caller.namespace,
    now: parts.clock.now(),
  })
  return found
}

interface DigestQuestion extends QueryValues {
  readonly algorithm: HashAlgorithm
  readonly digest: string
  readonly reach: Reach
  readonly namespace: string
  readonly now: number
}

const selectByDigest = prepared((sql, { algorithm, digest, reach, namespace, now }: DigestQuestion) =>
  sql
    .selectFrom('blobs')
    .selectAll()
    .where(algorithm, '=', digest)
    .where('state', '=', 'created')
    .where(readableBlobs(reach, { namespace }, now))
    // Two contents may share a sha1 or xxh128.
    .orderBy('created_at')
    .limit(asLiteral(1)),
)

/** A miss costs no transaction. A hit is looked up again in one, as it may have gone between. */
const leaseIfStillThere = async (
  parts: Parts,
  caller: Caller,
  algorithm: HashAlgorithm,
  hash: string,
  uuid: string,
): Promise<boolean> =>
  parts.db.write(async (trx) => {
    const again = await lookUp(trx, parts, caller, algorithm, hash)
    if (again?.uuid !== uuid) return false
    await leaseBlob(trx, parts, uuid, caller.namespace)
    await recordUse(trx, uuid, caller.namespace, parts.clock.now())
    return true
  })
