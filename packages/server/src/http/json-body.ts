/**
 * JSON bodies: read for every method and whatever the Content-Type says, as clients of the original send them so.
 *
 * `JSON.parse` makes a member called `__proto__` an ordinary own property; it becomes dangerous only to code that
 * merges bodies into other objects, which none here does.
 */
import type { IncomingMessage } from 'node:http'
import { HoldfastError } from '@holdfast/api/errors'
import { maxJsonBytes } from '@holdfast/api/limits'
import { announcedLength, announcesBody, RequestBody, refuseEncoded } from './request-body.ts'

/** Deepest nesting accepted: what is stored must be safe to serialise again. */
export const maxJsonDepth = 64
const tooLarge = (): HoldfastError =>
  new HoldfastError('body_too_large', { detail: { max_bytes: maxJsonBytes } })

/** Reads and parses the body; `{}` when there is none. One that takes longer than `timeoutMs` is given up. */
export const readJsonBody = async (raw: IncomingMessage, timeoutMs: number): Promise<unknown> => {
  if (!announcesBody(raw)) return {}
  refuseEncoded(raw)
  if ((announcedLength(raw) ?? 0) > maxJsonBytes) throw tooLarge()
  const chunks: Uint8Array[] = []
  let size = 0
  const deadline = performance.now() + timeoutMs
  for await (const chunk of new RequestBody(raw, timeoutMs)) {
    // Against bodies that come byte by byte: they are never silent, and those of logins need no token.
    if (performance.now() > deadline) throw new HoldfastError('request_timeout')
    size += chunk.length
    if (size > maxJsonBytes) throw tooLarge()
    chunks.push(chunk)
  }
  return parseJson(Buffer.concat(chunks, size))
}

/** Parses UTF-8 JSON of bounded depth. Nothing at all, or white space, is `{}`. */
export const parseJson = (bytes: Uint8Array): unknown => {
  const text = decode(bytes)
  if (text.trim() === '') return {}
  refuseDeep(text)
  // Half a surrogate pair can only hide behind an escape, as UTF-8 has none; it could not be stored as text.
  const reviver = /\\u[dD][89a-fA-F]/.test(text) ? refuseBrokenText : undefined
  try {
    return JSON.parse(text, reviver)
  } catch (error) {
    if (error instanceof HoldfastError) throw error
    throw new HoldfastError('invalid_json', { cause: error })
  }
}

const decode = (bytes: Uint8Array): string => {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch (error) {
    throw new HoldfastError('invalid_json', { message: 'the request body is not UTF-8', cause: error })
  }
}

const refuseBrokenText = (key: string, value: unknown): unknown => {
  if (!key.isWellFormed() || (typeof value === 'string' && !value.isWellFormed()))
    throw new HoldfastError('invalid_json', {
      message: 'the request body holds text that is not valid Unicode',
    })
  return value
}

/** Counts brackets outside strings, in one pass and without parsing. */
const refuseDeep = (text: string): void => {
  let depth = 0
  let isText = false
  for (let at = 0; at < text.length; at++) {
    const character = text[at]
    if (isText && character === '\\') at++
    else if (character === '"') isText = !isText
    else if (isText) continue
    else if (character === ']' || character === '}') depth--
    else if ((character === '[' || character === '{') && ++depth > maxJsonDepth)
      throw new HoldfastError('invalid_json', {
        message: `the request body is nested deeper than ${maxJsonDepth} levels`,
        detail: { max_depth: maxJsonDepth },
      })
  }
}
