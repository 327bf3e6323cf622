/**
 * Validation of requests against the contract, and what a failure is called.
 *
 * What stands in the path, the query and the headers is text, so numbers are made of it. Bodies are JSON and mean
 * what they say: nothing in them is converted (schemas accept digits as text where clients send them).
 */
import type { RouteContract } from '@holdfast/api/contract'
import { type ErrorCode, HoldfastError } from '@holdfast/api/errors'
import { Ajv, type ValidateFunction } from 'ajv'
import type { FastifyRouteSchemaDef, FastifySchemaValidationError } from 'fastify/types/schema.js'

const ajv = new Ajv({ strict: false, allErrors: false, validateFormats: false })
const decimals: Readonly<Record<string, RegExp>> = { integer: /^-?\d+$/, number: /^-?\d+(\.\d+)?$/ }

/** Fastify's way to a validator: by the part of the request that the schema is for. */
export const compileValidator = ({ schema, httpPart }: FastifyRouteSchemaDef<object>) =>
  httpPart === 'body' ? ajv.compile(schema) : compileText(schema)

/**
 * A validator that first makes numbers of decimal digits, and of nothing else: Ajv's own coercion would also take
 * `%20` for 0 and `0x10` for 16, and a request that says so is wrong.
 */
const compileText = (schema: { properties?: Record<string, { type?: string }> }): ValidateFunction => {
  const validate = ajv.compile(schema)
  const numeric = Object.entries(schema.properties ?? {}).flatMap(([name, { type }]) => {
    const pattern = type === undefined ? undefined : decimals[type]
    return pattern ? [{ name, pattern }] : []
  })
  const check = (data: Record<string, unknown>) => {
    for (const { name, pattern } of numeric) {
      const text = data[name]
      if (typeof text === 'string' && pattern.test(text)) data[name] = Number(text)
    }
    const valid = validate(data)
    check.errors = validate.errors
    return valid
  }
  check.errors = validate.errors
  return check as unknown as ValidateFunction
}

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
