/**
 * The histories of artifacts and blobs. The original's clients filter and limit in the body; query parameters page,
 * and filter for those who cannot send a body with a GET.
 */
import { defaultEvents, maxEvents } from '@holdfast/api/limits'
import type { EventView } from '@holdfast/api/schemas'
import { type EventSelection, listArtifactEvents, listBlobEvents } from '../../domain/events.ts'
import type { Page } from '../../domain/page.ts'
import type { Call, Handlers } from '../handlers.ts'
import { millisOf } from '../list-query.ts'
import { pageReply } from '../list-reply.ts'

type EventCall = Pick<Call<'listArtifactEvents' | 'listBlobEvents'>, 'query' | 'body' | 'setHeader'>

const selection = ({ query, body }: EventCall): EventSelection => ({
  type: body.event_type ?? query.event_type,
  limit: query.limit ?? Math.min(Number(body.limit ?? defaultEvents), maxEvents),
  cursor: query.cursor,
  sort: query.sort,
  createdAfter: millisOf(query.created_after),
})

/** Only those who page are told of the next page. */
const reply = (page: Page<EventView>, call: EventCall): EventView[] =>
  call.query.limit === undefined && call.query.cursor === undefined ? [...page.items] : pageReply(call, page)

export const eventHandlers = {
  listArtifactEvents: async (parts, call) =>
    reply(await listArtifactEvents(parts, call.caller, call.params.artifact_ref, selection(call)), call),
  listBlobEvents: async (parts, call) =>
    reply(await listBlobEvents(parts, call.caller, call.params.blob_uuid, selection(call)), call),
} satisfies Pick<Handlers, 'listArtifactEvents' | 'listBlobEvents'>
