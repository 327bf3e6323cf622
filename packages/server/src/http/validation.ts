/**
 * Validation of requests against the contract, and what a failure is called.
 *
 * What stands in the path, the query and the headers is text, so numbers are made of it. Bodies are JSON and mean
 * what they say: nothing in them is converted (schemas accept digits as text where clients send them).
 */
import type { RouteContract } from '@holdfast/api/contract'
import { type ErrorCode, HoldfastError } from '@holdfast/api/errors'
import { Ajv } from 'ajv'
import type { FastifyRouteSchemaDef, FastifySchemaValidationError } from 'fastify/types/schema.js'

const options = { strict: false, allErrors: false, validateFormats: false } as const
const textAjv = new Ajv({ ...options, coerceTypes: true })
const bodyAjv = new Ajv({ ...options, coerceTypes: false })

/** Fastify's way to a validator: by the part of the request that the schema is for. */
export const compileValidator = ({ schema, httpPart }: FastifyRouteSchemaDef<object>) =>
  (httpPart === 'body' ? bodyAjv : textAjv).compile(schema)

type Failure = Pick<FastifySchemaValidationError, 'keyword' | 'instancePath' | 'params' | 'message'>

/** Makes a refusal of what Ajv found, in the words the contract has for it. */
export const describeFailure =
  (contract: RouteContract) =>
  (failures: readonly Failure[], part: string): HoldfastError => {
    const place = part === 'querystring' ? 'query' : part
    const [first] = failures as [Failure]
    const missing = first.keyword === 'required' ? String(first.params.missingProperty) : undefined
    const path = [...first.instancePath.split('/').slice(1), ...(missing === undefined ? [] : [missing])]
    const field = path.join('.')
    const reason = missing === undefined ? reasonOf(failures) : 'is missing'
    const code = codeOf(contract, place, path[0], first.keyword)
    return new HoldfastError(code, {
      detail: { place, ...(field === '' ? {} : { field }), reason },
      ...(code === 'invalid_request'
        ? { message: `${field === '' ? place : `${place} field ${field}`} ${reason}` }
        : {}),
    })
  }

const codeOf = (
  { invalid }: RouteContract,
  place: string,
  field: string | undefined,
  keyword: string,
): ErrorCode => {
  const names = field === undefined ? [] : [`${place}/${field}#${keyword}`, `${place}/${field}`]
  for (const name of [...names, place]) {
    const code = invalid && Object.hasOwn(invalid, name) ? invalid[name] : undefined
    if (code) return code
  }
  return 'invalid_request'
}

/** Ajv's words. Of alternatives it reports every one that failed; being absent is not worth telling of. */
const reasonOf = (failures: readonly Failure[]): string => {
  const told = failures.filter(({ keyword, params }) => keyword !== 'anyOf' && params.type !== 'null')
  return [
    ...new Set((told.length > 0 ? told : failures).map(({ message }) => message ?? 'is not valid')),
  ].join(' or ')
}
