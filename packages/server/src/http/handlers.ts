/**
 * What a route file has to provide: one function a route, typed from the contract. A route without a handler, or a
 * handler with another reply than the contract's, does not compile (`register.ts` asks for the whole of `Handlers`).
 */
import type { Body, JsonRoute, Params, Query, Reply } from '@holdfast/api/contract'
import type { RouteName } from '@holdfast/api/paths'
import type { Caller, Parts } from '../parts.ts'
import type { WholeList } from './list-reply.ts'

/** One request, validated and authenticated. */
export interface Call<K extends RouteName> {
  /** Who asks; in routes that need no token its namespace and key name are ''. */
  readonly caller: Caller
  readonly params: Params<K>
  readonly query: Query<K>
  readonly body: Body<K>
  /** The request's headers, names in lower case. */
  readonly headers: Readonly<Record<string, string | undefined>>
  /** Aborted when the client goes away before it has its reply. */
  readonly signal: AbortSignal
  /** The address the request came from. */
  readonly address: string
  /** Sets a header of the reply. */
  setHeader(name: string, value: string): void
}

/** Routes that answer JSON, except the one whose request is bytes. */
export type HandledRoute = Exclude<JsonRoute, 'appendUpload'>

/** What a handler answers: the reply, or the rows of one that is a list. */
type Answer<R> = R | (R extends readonly unknown[] ? WholeList<R[number]> : never)

/** Answers one route. Refusals are thrown as `HoldfastError`. */
export type Handler<K extends HandledRoute> = (parts: Parts, call: Call<K>) => Promise<Answer<Reply<K>>>

/** All of them. Route files say `satisfies Pick<Handlers, ...>`. */
export type Handlers = { readonly [K in HandledRoute]: Handler<K> }
