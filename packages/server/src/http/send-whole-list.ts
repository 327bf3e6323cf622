/**
 * Writes a list of any length as one JSON array: only a step of it is ever in memory, and the next is read when the
 * client has taken what came before.
 */
import { Readable } from 'node:stream'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { WholeList } from './list-reply.ts'

/**
 * Sends the list. What goes wrong before the first bytes is an error reply like any other. Later the connection is cut:
 * an array without its end, in a body without its last chunk, can be taken for whole by nobody.
 */
export const sendWholeList = async <T>(
  list: WholeList<T>,
  { log }: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> => {
  const { parts } = list
  const first = await parts.next()
  const second = first.done ? first : await parts.next()
  // Most lists are short: a plain reply tells its length.
  if (second.done) return reply.send(JSON.stringify(first.value ?? []))
  async function* text(): AsyncGenerator<string, void> {
    try {
      yield `[${withoutBrackets(first.value as readonly T[])}`
      yield `,${withoutBrackets(second.value as readonly T[])}`
      for await (const rows of parts) yield `,${withoutBrackets(rows)}`
      yield ']'
    } catch (error) {
      log.error({ err: error }, 'a list broke off')
      throw error
    } finally {
      await parts.return()
    }
  }
  return reply.send(Readable.from(text(), { objectMode: false, highWaterMark: 1 }))
}

const withoutBrackets = (rows: readonly unknown[]): string => JSON.stringify(rows).slice(1, -1)
