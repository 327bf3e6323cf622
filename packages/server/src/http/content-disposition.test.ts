import { validateHeaderValue } from 'node:http'
import { expect, test } from 'vitest'
import { attachment } from './content-disposition.ts'

test.each([
  ['debian.iso', 'attachment; filename="debian.iso"'],
  ['a "b" \\ c', 'attachment; filename="a _b_ _ c"'],
  ['..', 'attachment; filename="uuid"'],
  ['', 'attachment; filename="uuid"'],
  [' . ', 'attachment; filename="uuid"'],
  ['../../etc/passwd', 'attachment; filename=".._.._etc_passwd"'],
  ['100%', `attachment; filename="100_"; filename*=UTF-8''100%25`],
  ['größe (1).iso', `attachment; filename="gr__e (1).iso"; filename*=UTF-8''gr%C3%B6%C3%9Fe%20%281%29.iso`],
  ['a\u202Egpj.exe', 'attachment; filename="a_gpj.exe"'],
  ['half \uD800 pair', `attachment; filename="half _ pair"; filename*=UTF-8''half%20%EF%BF%BD%20pair`],
  ['a\r\nSet-Cookie: b', 'attachment; filename="a__Set-Cookie_ b"'],
  ['😀', `attachment; filename="_"; filename*=UTF-8''%F0%9F%98%80`],
])('%j', (name, expected) => {
  const header = attachment(name, 'uuid')
  expect(header).toBe(expected)
  validateHeaderValue('content-disposition', header)
})
