/**
 * What nodes say to each other on behalf of a client is signed, with a secret that only the database has: who passes a request
 * on, to whom, and for whom. The client's own token goes along and is checked as ever; this one only shows that the request
 * has come from a node, so that it is not passed on again.
 */
import { HoldfastError } from '@holdfast/api/errors'
import { jwtVerify, SignJWT } from 'jose'
import type { Parts } from '../../parts.ts'

const algorithm = 'HS256'
/** Longer than a request waits before it is read; much shorter than anybody needs to misuse it. */
const lifetimeSeconds = 60

/** A request that one node makes of another. */
export interface PassedRequest {
  /** The node that passes it on. */
  readonly from: string
  /** Where the client asks from. */
  readonly address: string
}

type TokenParts = Pick<Parts, 'clock' | 'nodes'>

/** Signs a request of this node to another. `target` is method and URL. */
export const signPassed = (
  { clock, nodes }: TokenParts,
  to: string,
  target: string,
  address: string,
): Promise<string> => {
  const now = Math.floor(clock.now() / 1000)
  return new SignJWT({ target, address })
    .setProtectedHeader({ alg: algorithm })
    .setSubject(nodes.name)
    .setAudience(to)
    .setExpirationTime(now + lifetimeSeconds)
    .sign(nodes.secret)
}

/** Throws `token_invalid` unless another node made just this request of this one. */
export const readPassed = async (
  { clock, nodes }: TokenParts,
  token: string,
  target: string,
): Promise<PassedRequest> => {
  try {
    if (!nodes.isShared) throw new Error('there are no other nodes')
    const { payload } = await jwtVerify(token, nodes.secret, {
      algorithms: [algorithm],
      audience: nodes.name,
      currentDate: new Date(clock.now()),
      requiredClaims: ['sub', 'exp'],
    })
    if (payload.target !== target) throw new Error('it was made for another request')
    return { from: payload.sub!, address: String(payload.address) }
  } catch (cause) {
    throw new HoldfastError('token_invalid', {
      message: 'the request was not passed on by a node of this store',
      cause,
    })
  }
}
