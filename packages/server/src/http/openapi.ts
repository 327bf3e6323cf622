/**
 * The OpenAPI 3.1 document, made straight from the contract. (`@fastify/swagger` could gather it from the registered
 * routes, but cannot say all of it: several errors with one status, replies that are `null`, bodies that may be absent.)
 */
import {
  commonErrors,
  isRawReply,
  type RawReply,
  type RouteContract,
  routeContract,
  tokenErrors,
} from '@holdfast/api/contract'
import { type ErrorCode, errorTable } from '@holdfast/api/errors'
import { maxFilterLength } from '@holdfast/api/limits'
import { paths, type RouteName, splitPath } from '@holdfast/api/paths'
import { ErrorReply } from '@holdfast/api/schemas'
import type { TObject, TSchema } from 'typebox'
import { replyHeaders, successReplies } from './openapi-headers.ts'

type Json = Record<string, unknown>

/** What the document says of one method of one path. */
interface Operation extends Json {
  operationId: string
  responses: Record<string, Json>
}

export interface OpenapiDocument extends Json {
  openapi: '3.1.0'
  paths: Record<string, Record<string, Operation>>
}

/** The document for clients that reach the server at this URL, or path; empty: there is none in front. */
export const openapiAt = (document: OpenapiDocument, url: string): OpenapiDocument => ({
  ...document,
  servers: [{ url: url || '/' }],
})

/** Builds the document. */
export const buildOpenapi = (version: string): OpenapiDocument => {
  const schemas: Record<string, unknown> = {}
  const refusals: Record<string, Json> = {}
  const document: OpenapiDocument = {
    openapi: '3.1.0',
    info: {
      title: 'Holdfast',
      version,
      description:
        "A store for large files, with the artifact part of Shaken Fist's REST API. JSON bodies are read whatever " +
        'their Content-Type, and for GET and DELETE too. HEAD is answered wherever GET is. Every reply carries ' +
        'X-Request-ID.',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: '/' }],
    tags: [...new Set(names().map((name) => routeContract(name).tag))].map((name) => ({ name })),
    paths: {},
    components: {
      schemas,
      responses: refusals,
      securitySchemes: {
        bearer: {
          type: 'http',
          scheme: 'bearer',
          bearerFormat: 'JWT',
          description: 'A token from POST /auth',
        },
      },
    },
  }
  const rewrite = nameSchemas(schemas)
  const share = shareRefusals(refusals)
  for (const route of names()) {
    const { method, path } = splitPath(route)
    const operations = document.paths[path] ?? {}
    document.paths[path] = operations
    operations[method.toLowerCase()] = operationOf(route, rewrite, share)
  }
  return document
}

const names = (): RouteName[] => Object.keys(paths) as RouteName[]

/** Moves schemas with a title to the components, and leaves references in their place. */
const nameSchemas = (schemas: Record<string, unknown>) => {
  const rewrite = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(rewrite)
    if (typeof value !== 'object' || value === null) return value
    const copy = Object.fromEntries(Object.entries(value).map(([key, part]) => [key, rewrite(part)]))
    if (typeof copy.title !== 'string' || copy.type === undefined) return copy
    schemas[copy.title] = copy
    return { $ref: `#/components/schemas/${copy.title}` }
  }
  return rewrite
}

type Rewrite = ReturnType<typeof nameSchemas>

/** Most routes refuse most things in the same words: each is described once, and referred to. */
const shareRefusals = (refusals: Record<string, Json>) => {
  const known = new Map<string, string>()
  return (status: number, response: Json): Json => {
    const text = JSON.stringify(response)
    let name = known.get(text)
    if (name === undefined) {
      const sameStatus = Object.keys(refusals).filter((other) => other.startsWith(`Refused${status}`)).length
      name = `Refused${status}${sameStatus === 0 ? '' : `-${sameStatus + 1}`}`
      known.set(text, name)
      refusals[name] = response
    }
    return { $ref: `#/components/responses/${name}` }
  }
}

type Share = ReturnType<typeof shareRefusals>

const operationOf = (route: RouteName, rewrite: Rewrite, share: Share): Operation => {
  const contract = routeContract(route)
  const { params, query, headers } = contract
  const parameters = [
    ...parametersOf('path', params, rewrite),
    ...parametersOf('query', query, rewrite),
    ...parametersOf('header', headers, rewrite),
  ]
  const requestBody = requestBodyOf(contract, rewrite)
  return {
    operationId: route,
    summary: contract.summary,
    tags: [contract.tag],
    security: contract.public ? [] : [{ bearer: [] }],
    ...(parameters.length > 0 && { parameters }),
    ...(requestBody && { requestBody }),
    responses: responsesOf(route, contract, rewrite, share),
  }
}

const parametersOf = (place: 'path' | 'query' | 'header', schema: TObject | undefined, rewrite: Rewrite) => [
  ...namedParameters(place, schema, rewrite),
  ...(schema && 'patternProperties' in schema ? [metadataParameter] : []),
]

/** Fields by a pattern are the fields of an object here, each of which goes by its own name. */
const metadataParameter = {
  name: 'metadata',
  in: 'query',
  required: false,
  description:
    'Fields `metadata.KEY=TEXT`: what has this value, a text itself, of anything else its JSON. Several must all be met',
  style: 'form',
  explode: true,
  schema: {
    type: 'object',
    patternProperties: { '^metadata\\..': { type: 'string', maxLength: maxFilterLength } },
    additionalProperties: false,
  },
}

const namedParameters = (place: 'path' | 'query' | 'header', schema: TObject | undefined, rewrite: Rewrite) =>
  Object.entries(schema?.properties ?? {}).map(([name, property]) => {
    const { description, ...rest } = property as Json
    return {
      name,
      in: place,
      required:
        place === 'path' || (schema?.required as readonly string[] | undefined)?.includes(name) === true,
      ...(description === undefined ? {} : { description }),
      schema: rewrite(rest),
    }
  })

const requestBodyOf = ({ body, bytes }: RouteContract, rewrite: Rewrite): Json | undefined => {
  if (bytes) return { description: 'The bytes', content: { 'application/octet-stream': { schema: {} } } }
  if (!body) return undefined
  const { required } = body as { required?: readonly string[] }
  return {
    required: (required ?? []).length > 0,
    content: { 'application/json': { schema: rewrite(body) } },
  }
}

const responsesOf = (
  route: RouteName,
  contract: RouteContract,
  rewrite: Rewrite,
  share: Share,
): Record<string, Json> => {
  const { reply } = contract
  const responses: Record<string, Json> = {}
  for (const [status, description] of Object.entries(successReplies(route, descriptionOf(reply))))
    responses[status] = {
      description,
      headers: replyHeaders(route, Number(status)),
      ...(status === '304' ? {} : contentOf(reply, rewrite)),
    }
  const isHead = splitPath(route).method === 'HEAD'
  for (const [status, codes] of errorsOf(contract)) {
    responses[status] = share(status, {
      description: codes.map((code) => `\`${code}\`: ${errorTable[code].message}`).join('\n\n'),
      headers: replyHeaders(route, status),
      ...(isHead ? {} : { content: { 'application/json': { schema: errorSchema(codes, rewrite) } } }),
    })
  }
  return responses
}

const descriptionOf = (reply: TSchema | RawReply): string =>
  String((reply as { description?: unknown }).description ?? 'Done')

const contentOf = (reply: TSchema | RawReply, rewrite: Rewrite): Json => {
  if (!isRawReply(reply)) return { content: { 'application/json': { schema: rewrite(reply) } } }
  return reply.raw === 'none' ? {} : { content: { [reply.raw]: { schema: {} } } }
}

const errorSchema = (codes: readonly ErrorCode[], rewrite: Rewrite) => ({
  allOf: [rewrite(ErrorReply), { properties: { code: { enum: codes } } }],
})

/** Everything that can be refused, by status. A route with parameters is missed when one of them is empty. */
const errorsOf = ({ errors, params, ...contract }: RouteContract): Map<number, ErrorCode[]> => {
  const all = new Set<ErrorCode>([
    ...errors,
    ...(contract.public ? [] : tokenErrors),
    ...commonErrors,
    ...(params ? (['route_not_found'] as const) : []),
  ])
  const byStatus = new Map<number, ErrorCode[]>()
  for (const code of all) {
    const { status } = errorTable[code]
    byStatus.set(status, [...(byStatus.get(status) ?? []), code])
  }
  return new Map([...byStatus].sort(([a], [b]) => a - b))
}
