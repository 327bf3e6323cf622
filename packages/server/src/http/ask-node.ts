/** Questions to another node in the middle of a request, with the rights of who asks. */
import type { RouteName } from '@holdfast/api/paths'
import { signPassed } from '../domain/nodes/node-tokens.ts'
import type { Parts } from '../parts.ts'
import { passedHeader } from './forward.ts'
import type { Call } from './handlers.ts'
import { requestIdHeader } from './request-id.ts'

/** Whoever waits for the answer can do without it. */
const timeoutMs = 5000

type Asking = Pick<Call<RouteName>, 'caller' | 'headers' | 'address'>

/** Whether the request comes from another node, on behalf of a client. */
export const isPassedOn = ({ headers }: Pick<Call<RouteName>, 'headers'>): boolean =>
  headers[passedHeader] !== undefined

/** What the other nodes that are there answer to GET `path`; nothing for a request that one of them asks. */
export const askOthers = async <T>(parts: Parts, call: Asking, path: string): Promise<T[]> => {
  if (!parts.nodes.isShared || isPassedOn(call)) return []
  const others = (await parts.nodes.list()).filter(({ name }) => name !== parts.nodes.name)
  const answers = await Promise.all(others.map(({ name }) => askNode<T>(parts, name, path, call)))
  return answers.filter((answer) => answer !== undefined)
}

/** What another node answers to GET `path`; undefined when it is gone, or does not answer. */
export const askNode = async <T>(
  parts: Parts,
  name: string,
  path: string,
  { caller, headers, address }: Asking,
): Promise<T | undefined> => {
  const node = await parts.nodes.find(name)
  if (!node || node.health === 'gone' || node.url === '') return undefined
  try {
    const reply = await fetch(`${node.url.replace(/\/+$/, '')}${path}`, {
      headers: {
        authorization: headers.authorization ?? '',
        [requestIdHeader]: caller.requestId,
        [passedHeader]: await signPassed(parts, name, `GET ${path}`, address),
      },
      signal: AbortSignal.timeout(timeoutMs),
    })
    if (reply.ok) return (await reply.json()) as T
    throw new Error(`it answered ${reply.status}`)
  } catch (error) {
    parts.log.warn({ err: error, other: name, path }, 'another node did not answer')
    return undefined
  }
}
