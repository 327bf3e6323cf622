/**
 * `POST /upload/{upload_uuid}`: the one route whose request is bytes. They go from the socket to the upload without
 * being held, and only after everything that can be refused without them.
 */
import { HoldfastError, isHoldfastError } from '@holdfast/api/errors'
import { appendToUpload } from '../domain/uploads.ts'
import type { RawHandler } from './register.ts'
import { announcedLength, RequestBody, refuseEncoded } from './request-body.ts'

export const appendUpload: RawHandler<'appendUpload'> = async (parts, call, { raw }, reply) => {
  refuseEncoded(raw)
  const offset = call.headers['upload-offset']
  const body = new RequestBody(raw, parts.config.uploadStall * 1000, { lends: true })
  try {
    const { size } = await appendToUpload(parts, call.caller, call.params.upload_uuid, {
      stream: body,
      contentLength: announcedLength(raw),
      expectedOffset: offset === undefined ? undefined : Number(offset),
      signal: call.signal,
    })
    return await reply.header('upload-offset', size).type('application/json').send(String(size))
  } catch (error) {
    const refusal = sawSilence(error) ? timedOut(error) : error
    const left = isHoldfastError(refusal) ? refusal.detail?.offset : undefined
    if (typeof left === 'number') reply.header('upload-offset', left)
    throw refusal
  } finally {
    body.release()
  }
}

/** Below, a body that ends too early is `body_incomplete` whatever ended it. */
const sawSilence = (error: unknown): error is HoldfastError =>
  isHoldfastError(error, 'body_incomplete') && isHoldfastError(error.cause, 'request_timeout')

const timedOut = ({ detail }: HoldfastError): HoldfastError =>
  new HoldfastError('request_timeout', detail ? { detail } : {})
