import { commonErrors, routeContract } from '@holdfast/api/contract'
import { errorTable } from '@holdfast/api/errors'
import { paths, type RouteName, splitPath } from '@holdfast/api/paths'
import { expect, test } from 'vitest'
import { buildOpenapi } from './openapi.ts'

const document = JSON.parse(JSON.stringify(buildOpenapi('1.2.3')))

const at = (pointer: string) =>
  pointer
    .slice(2)
    .split('/')
    .reduce((value, key) => value[key], document)

/** A response of a route, looked up where it is shared. */
const response = (name: RouteName, status: number) => {
  const { method, path } = splitPath(name)
  const found = document.paths[path][method.toLowerCase()].responses[status]
  return found?.$ref ? at(found.$ref) : found
}

test('every reference leads somewhere', () => {
  const references = [...JSON.stringify(document).matchAll(/"\$ref":"([^"]+)"/g)].map((match) => match[1]!)
  expect(references.length).toBeGreaterThan(100)
  for (const reference of new Set(references)) expect(at(reference), reference).toBeTypeOf('object')
})

test('every refusal a route can answer is in its document, under its status', () => {
  for (const name of Object.keys(paths) as RouteName[])
    for (const code of [...routeContract(name).errors, ...commonErrors]) {
      const { status } = errorTable[code]
      const found = response(name, status)
      expect(found.description, `${name} ${code}`).toContain(`\`${code}\``)
      if (splitPath(name).method !== 'HEAD')
        expect(found.content['application/json'].schema.allOf[1].properties.code.enum).toContain(code)
    }
})

test('tokens are asked for exactly where the contract asks for them', () => {
  for (const name of Object.keys(paths) as RouteName[]) {
    const { method, path } = splitPath(name)
    const { security } = document.paths[path][method.toLowerCase()]
    expect(security, name).toEqual(routeContract(name).public ? [] : [{ bearer: [] }])
  }
})

test('what is not JSON, or more than 200, is told too', () => {
  expect(Object.keys(document.paths['/blobs/{blob_uuid}/data'].get.responses)).toEqual(
    expect.arrayContaining(['200', '206', '304', '416']),
  )
  expect(response('readBlob', 416).headers).toHaveProperty('Content-Range')
  expect(response('headUpload', 200)).not.toHaveProperty('content')
  expect(response('truncateUpload', 200).content['application/json'].schema).toMatchObject({ type: 'null' })
  expect(document.paths['/upload/{upload_uuid}'].post.requestBody.content).toHaveProperty([
    'application/octet-stream',
  ])
  expect(document.paths['/auth'].post.requestBody.required).toBe(true)
  expect(document.paths['/artifacts'].get.requestBody.required).toBe(false)
  expect(document.components.schemas.Artifact.title).toBe('Artifact')
})
