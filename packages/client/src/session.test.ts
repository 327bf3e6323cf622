import { describe, expect, it } from 'vitest'
import { HoldfastError } from './errors.ts'
import { fetchTransport } from './fetch-transport.ts'
import { fillPath, Session } from './session.ts'
import { appendServerFor } from './uploads/append-server.ts'
import { conditionalLimits, plainLimits } from './uploads/chunk-size.ts'

describe('fillPath', () => {
  it('encodes what goes into the path and the query', () => {
    expect(fillPath('showArtifact', { artifact_ref: 'häuser & co?' })).toBe(
      '/artifacts/h%C3%A4user%20%26%20co%3F',
    )
    expect(fillPath('listArtifacts', {}, { name: 'a&b', limit: 3, cursor: undefined })).toBe(
      '/artifacts?name=a%26b&limit=3',
    )
  })

  it('lets no name walk up the path', () => {
    expect(fillPath('showArtifact', { artifact_ref: '../auth' })).toBe('/artifacts/..%2Fauth')
    for (const artifact_ref of ['.', '..']) {
      expect(() => fillPath('showArtifact', { artifact_ref })).toThrow(HoldfastError)
    }
  })

  it('refuses to build a path without its parameters', () => {
    expect(() => fillPath('showArtifact', {})).toThrow(TypeError)
    expect(() => fillPath('showArtifact', { artifact_ref: '' })).toThrow(TypeError)
  })
})

describe('Session', () => {
  it('refuses URLs that are not of the web', () => {
    expect(() => new Session({ url: 'ftp://server' }, fetchTransport())).toThrow(TypeError)
    expect(() => new Session({ url: 'server' }, fetchTransport())).toThrow(TypeError)
  })

  it('chooses how to append by the capability words', () => {
    const session = new Session({ url: 'http://server' }, fetchTransport())
    const limits = (...words: string[]) => appendServerFor(session, new Set(words)).limits
    expect(limits('upload-offset', 'upload-status')).toBe(conditionalLimits)
    expect(limits('upload-offset')).toBe(plainLimits)
    expect(limits()).toBe(plainLimits)
  })
})
