/**
 * The client for anywhere: web standards only. It hashes nothing and remembers nothing; `@holdfast/client/node` and
 * `@holdfast/client/browser` do.
 */
import { type Client, createClientOn } from './client.ts'
import { fetchTransport } from './fetch-transport.ts'
import type { ClientOptions, WebSource } from './types.ts'
import { openWebSource } from './uploads/web-source.ts'

export type { Body, JsonRoute, Params, Query, Reply } from '@holdfast/api/contract'
export type {
  ArtifactView,
  BlobView,
  EventView,
  NamespaceView,
  UploadView,
  VersionView,
} from '@holdfast/api/schemas'
export type { CallArguments, CallInput, Page } from './calls.ts'
export type { Client } from './client.ts'
export * from './errors.ts'
export type { EventFilter } from './routes.ts'
export type { Capabilities } from './session.ts'
export type * from './types.ts'
export {
  isUploadRecord,
  type SourceIdentity,
  type StateStore,
  stateKey,
  type UploadRecord,
} from './uploads/state.ts'

export type WebClient = Client<WebSource, 'blob' | WritableStream<Uint8Array>>

/** A client on `fetch`. */
export const createClient = (
  options: ClientOptions & { readonly fetch?: typeof globalThis.fetch },
): WebClient =>
  createClientOn(options, {
    transport: fetchTransport(options.fetch),
    createHash: undefined,
    stateStore: undefined,
    openSource: async (upload) => openWebSource(upload, undefined),
  })
