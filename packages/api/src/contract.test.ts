import { expect, test } from 'vitest'
import type { Body, Params, Reply } from './contract.ts'
import { contract, isRawReply, routeContract } from './contract.ts'
import { paths, type RouteName, splitPath } from './paths.ts'

test('every path parameter is described and every described parameter stands in the path', () => {
  for (const name of Object.keys(paths) as RouteName[]) {
    const inPath = [...splitPath(name).path.matchAll(/\{(\w+)\}/g)].map((match) => match[1])
    expect(Object.keys(routeContract(name).params?.properties ?? {}), name).toEqual(inPath)
  }
})

test('two routes never share a method and a path', () => {
  const shapes = Object.values(paths).map((path) => path.replace(/\{\w+\}/g, '{}'))
  expect(new Set(shapes).size).toBe(shapes.length)
})

test('only routes that a program cannot use without a token ask for one', () => {
  const open = (Object.keys(contract) as RouteName[]).filter((name) => routeContract(name).public)
  expect(open).toEqual([
    'showRoot',
    'showHealth',
    'showReadiness',
    'showMetrics',
    'showOpenapi',
    'authenticate',
  ])
  expect(isRawReply(contract.showRoot.reply)).toBe(true)
})

test('the types follow from the table', () => {
  const params: Params<'truncateUpload'> = { upload_uuid: 'u', size: 3 }
  const body: Body<'convertUpload'> = { upload_uuid: 'u', shared: null }
  const reply: Reply<'appendUpload'> = 7
  // @ts-expect-error a size is a number once it is validated
  const wrong: Params<'truncateUpload'> = { upload_uuid: 'u', size: '3' }
  expect([params.size, body.shared, reply, wrong.size]).toEqual([3, null, 7, '3'])
})
