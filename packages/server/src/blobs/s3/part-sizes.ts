/**
 * How an upload is cut into the parts of a multipart upload. What the size of a part is depends on its number alone, so
 * that parts can be sent before anybody knows how many there will be.
 *
 * S3 allows 10,000 parts of 5 MiB to 5 GiB, only the last one smaller, and 5 TiB in all. Parts grow by 1 MiB with every 40,
 * so that the last one, which a conversion has to wait for, is about 1/10,000 of a large upload: 8 MiB at the
 * beginning, 58 MiB at 64 GiB, 229 MiB at 1 TiB. What is larger than that is rare and gets the largest parts there are.
 * All are multiples of the blocks that have checksums.
 */
const MiB = 1024 * 1024
const firstSize = 8 * MiB
const growth = MiB
const growEvery = 40
const steadyParts = 9000
const largeSize = 4608 * MiB

/** Most parts that S3 takes. */
export const maxParts = 10_000
/** Largest object that S3 takes. */
export const maxObjectSize = 5 * 1024 * 1024 * MiB

/** Bytes of a full part; they are numbered from 1. */
export const partSize = (number: number): number => {
  if (!Number.isInteger(number) || number < 1 || number > maxParts)
    throw new RangeError(`there is no part ${number}`)
  if (number > steadyParts) return largeSize
  return firstSize + growth * Math.floor((number - 1) / growEvery)
}

/** Where a part begins. `maxParts + 1` is allowed: where the last one ends. */
export const partStart = (number: number): number => {
  const steady = Math.min(number - 1, steadyParts)
  const steps = Math.floor(steady / growEvery)
  const grown = growEvery * ((steps * (steps - 1)) / 2) + (steady % growEvery) * steps
  return steady * firstSize + grown * growth + Math.max(0, number - 1 - steadyParts) * largeSize
}
