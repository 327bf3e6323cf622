/**
 * Requests for the fuzzer: sensible ones of every route, and everything that can be wrong with one.
 */
import { routeContract } from '@holdfast/api/contract'
import { paths, type RouteName, splitPath } from '@holdfast/api/paths'
import type { Random } from './harness.ts'

/** Things that exist on the server under test, for requests that get further than the first check. */
export interface Targets {
  readonly tokens: readonly string[]
  /** Values by the name of the field or parameter that may hold them. */
  readonly values: Readonly<Record<string, readonly string[]>>
}

export interface FuzzRequest {
  /** What goes over the wire, in the parts in which it is written. */
  readonly parts: readonly Buffer[]
  readonly words: string
}

const routeNames = Object.keys(paths) as RouteName[]

const oddTexts: readonly string[] = [
  '',
  ' ',
  '\u0000',
  '..',
  '../../etc/passwd',
  '%2e%2e%2f',
  '%00',
  '%',
  '%zz',
  '%ff%fe',
  '%ed%a0%80',
  '%F0%9F%92%A9',
  'a/b',
  'a%2Fb',
  '?',
  '#',
  ';',
  "' OR 1=1 --",
  '<script>',
  '__proto__',
  'constructor',
  'null',
  'undefined',
  'NaN',
  'true',
  '-1',
  '0',
  '00',
  '1e3',
  '0x10',
  '1.5',
  '9007199254740993',
  '18446744073709551616',
  '99999999999999999999999999',
  'ä'.repeat(300),
  '🦫'.repeat(64),
  '\u202e',
  'a'.repeat(256),
  'a'.repeat(10_000),
  '00000000-0000-4000-8000-000000000000',
  '{}',
  '[]',
]

const oddJson: readonly unknown[] = [
  null,
  true,
  0,
  -1,
  1.5,
  1e308,
  Number.MAX_SAFE_INTEGER + 2,
  '',
  '-1',
  '1e9',
  'x'.repeat(70_000),
  [],
  [[]],
  {},
  { __proto__: null, a: 1 },
  '\u0000',
  '\ud800',
  ['a', { b: null }],
]

/** Texts that are no JSON, or hardly. */
const brokenJson: readonly (string | Buffer)[] = [
  '{',
  '}',
  '{"a":}',
  '{"a":1,}',
  "{'a':1}",
  '"text',
  'nul',
  '[1,2',
  '\u0000\u0000\u0000',
  '\ufeff{}',
  '{"__proto__":{"x":1},"constructor":{"prototype":{"y":1}}}',
  '{"namespace":"a","namespace":"b"}',
  '{"a":1e999}',
  '{"a":-0}',
  '{"a":"\\ud800"}',
  '{"\\u0000":"\\u0000"}',
  '['.repeat(100_000),
  '{"a":'.repeat(10_000),
  `${'['.repeat(60)}${']'.repeat(60)}`,
  `"${'x'.repeat(1_100_000)}"`,
  Buffer.from([0xff, 0xfe, 0x7b, 0x00, 0x7d, 0x00]),
  Buffer.from([0x22, 0xc3, 0x28, 0x22]),
  Buffer.from([0x1f, 0x8b, 8, 0, 0, 0, 0, 0]),
]

const oddHeaders: readonly (string | Buffer)[] = [
  'Upload-Offset: 0',
  'Upload-Offset: -1',
  'Upload-Offset: 99999999999999999999',
  'Upload-Offset: 1, 1',
  'Range: bytes=0-0',
  'Range: bytes=-1',
  'Range: bytes=5-1',
  'Range: bytes=0-0,2-2',
  'Range: bytes=99999999999999999999-',
  'Range: lines=1-2',
  'Range: bytes=',
  'If-Range: "x"',
  'If-None-Match: *',
  'If-None-Match: W/"x", "y"',
  'Expect: 100-continue',
  'Expect: the impossible',
  'Upgrade: websocket',
  'Upgrade: h2c',
  'Connection: Upgrade, HTTP2-Settings',
  'Connection: close, keep-alive',
  'Content-Encoding: gzip',
  'Content-Encoding: br, gzip',
  'Content-Encoding: nonsense',
  'Content-Type: application/json; charset=utf-16',
  'Content-Type: multipart/form-data',
  'Content-Type: \u0001',
  'Content-Type:',
  'Transfer-Encoding: chunked',
  'Transfer-Encoding: identity',
  'Transfer-Encoding: gzip, chunked',
  'Transfer-Encoding: chunked, chunked',
  'Transfer-Encoding: xchunked',
  'Transfer-Encoding : chunked',
  'Content-Length: 5',
  'Content-Length: -5',
  'Content-Length: +5',
  'Content-Length: 0x5',
  'Content-Length: 5, 5',
  'Content-Length: 18446744073709551617',
  'Content-Length: ',
  'Host: ',
  'Host: a, b',
  'Host: [::1',
  'X-Request-ID: \u0001',
  `X-Request-ID: ${'r'.repeat(5000)}`,
  'X-Forwarded-For: 1.2.3.4',
  'X-HTTP-Method-Override: DELETE',
  'Authorization: Basic c3lzdGVtOng=',
  'Authorization: Bearer',
  'Authorization: Bearer a.b.c',
  'Authorization: Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJbXCJzeXN0ZW1cIixcImJvb3RzdHJhcFwiXSJ9.',
  'Cookie: a=b',
  ' folded: line',
  'no colon here',
  ': no name',
  'Näme: x',
  Buffer.from([0x58, 0x3a, 0xff, 0xfe, 0x00]),
  `Big: ${'b'.repeat(20_000)}`,
  `Huge: ${'h'.repeat(200_000)}`,
]

const oddMethods = [
  'PATCH',
  'OPTIONS',
  'TRACE',
  'CONNECT',
  'PRI',
  'get',
  'G E T',
  '',
  'M-SEARCH',
  'X'.repeat(300),
]
const oddVersions = ['HTTP/1.0', 'HTTP/0.9', 'HTTP/2.0', 'HTTP/1.1 ', 'http/1.1', 'HTTP/11', '']

/** Makes random requests, some as they should be, most of them wrong somewhere. */
export class RequestMaker {
  readonly #random: Random
  readonly #targets: Targets

  constructor(random: Random, targets: Targets) {
    this.#random = random
    this.#targets = targets
  }

  next(): FuzzRequest {
    const random = this.#random
    const count = random.chance(0.1) ? random.between(2, 6) : 1
    const requests = Array.from({ length: count }, () => this.#request())
    let bytes: Buffer = Buffer.concat(requests.map(({ bytes: one }) => one))
    let words = requests.map(({ words: one }) => one).join(' + ')
    if (random.chance(0.2)) {
      bytes = this.#mangle(bytes)
      words += ', mangled'
    }
    const isSplit = random.chance(0.15) && bytes.length < 5000
    const cut = random.between(1, Math.max(1, bytes.length - 1))
    return {
      parts: isSplit ? [bytes.subarray(0, cut), bytes.subarray(cut)] : [bytes],
      words,
    }
  }

  #request(): { bytes: Buffer; words: string } {
    const random = this.#random
    const route = random.pick(routeNames)
    const contract = routeContract(route)
    const { method: proper, path } = splitPath(route)
    const method = random.chance(0.04)
      ? random.pick(oddMethods)
      : proper === 'GET' && random.chance(0.1)
        ? 'HEAD'
        : proper
    let target = path.replace(/\{(\w+)\}/g, (_, name: string) => this.#segment(name))
    const names = Object.keys(contract.query?.properties ?? {})
    if (random.chance(names.length > 0 ? 0.6 : 0.1)) target += `?${this.#query(names)}`
    if (random.chance(0.02))
      target = random.pick(['*', 'http://x/', '//', '/\\', `/${'p'.repeat(70_000)}`, '/..//..', ''])
    const headers: (string | Buffer)[] = []
    if (!random.chance(0.02)) headers.push('Host: fuzz')
    if (random.chance(0.8)) headers.push(`Authorization: Bearer ${this.#token()}`)
    let odd = random.chance(0.25) ? random.between(1, 3) : 0
    for (; odd > 0; odd -= 1) headers.push(random.pick(oddHeaders))
    if (random.chance(0.005)) for (let n = 0; n < 3000; n += 1) headers.push(`H${n}: ${n}`)
    const body = this.#body(route)
    const framed = this.#frame(body, headers)
    const version = random.chance(0.02) ? random.pick(oddVersions) : 'HTTP/1.1'
    const newline = random.chance(0.02) ? '\n' : '\r\n'
    const head = [Buffer.from(`${method} ${target} ${version}`), ...headers.map((one) => Buffer.from(one))]
    return {
      bytes: Buffer.concat([
        ...head.flatMap((line) => [line, Buffer.from(newline)]),
        Buffer.from(newline),
        framed,
      ]),
      words: `${method} ${target.slice(0, 200)}`,
    }
  }

  #segment(name: string): string {
    const random = this.#random
    const known = this.#targets.values[name]
    if (known && random.chance(0.8)) return encodeURIComponent(random.pick(known))
    const odd = random.pick(oddTexts)
    // Some of them as they are, although they do not belong into a URL.
    return random.chance(0.3) ? odd.replace(/[ \r\n]/g, '+') : encodeURIComponent(odd)
  }

  #query(names: readonly string[]): string {
    const random = this.#random
    const count = random.between(1, 4)
    return Array.from({ length: count }, () => {
      const name = names.length > 0 && random.chance(0.8) ? random.pick(names) : random.pick(oddTexts)
      return random.chance(0.1)
        ? name.replace(/[ \r\n]/g, '+')
        : `${encodeURIComponent(name)}=${this.#segment(name)}`
    }).join('&')
  }

  #token(): string {
    const random = this.#random
    const token = random.pick(this.#targets.tokens)
    if (random.chance(0.85)) return token
    const at = random.between(0, token.length - 1)
    return random.pick([
      token.slice(0, at),
      `${token.slice(0, at)}A${token.slice(at + 1)}`,
      `${token}${token}`,
      '',
    ])
  }

  #body(route: RouteName): Buffer {
    const random = this.#random
    const contract = routeContract(route)
    if (contract.bytes)
      return Buffer.alloc(random.chance(0.05) ? random.between(0, 500_000) : random.between(0, 5000), 7)
    if (!contract.body && !random.chance(0.1)) return Buffer.alloc(0)
    if (random.chance(0.15)) return Buffer.from(random.pick(brokenJson))
    if (random.chance(0.05)) return Buffer.from(JSON.stringify(random.pick(oddJson)))
    const fields: Record<string, unknown> = {}
    for (const name of Object.keys(
      (contract.body as { properties?: object } | undefined)?.properties ?? { a: 1 },
    )) {
      if (random.chance(0.15)) continue
      const known = this.#targets.values[name]
      fields[name] = random.chance(0.1)
        ? random.pick(oddJson)
        : known && random.chance(0.85)
          ? random.pick(known)
          : random.pick(oddTexts)
    }
    if (random.chance(0.05)) fields[random.pick(oddTexts)] = random.pick(oddJson)
    return Buffer.from(JSON.stringify(fields, null, random.chance(0.3) ? 4 : 0))
  }

  /** Adds the header that tells the length, or a chunked coding; sometimes a lie. */
  #frame(body: Buffer, headers: (string | Buffer)[]): Buffer {
    const random = this.#random
    if (body.length === 0 && random.chance(0.7)) return body
    switch (random.weighted({ length: 70, chunked: 15, short: 4, long: 4, none: 4, both: 3 })) {
      case 'length':
        headers.push(`Content-Length: ${body.length}`)
        return body
      case 'short':
        headers.push(`Content-Length: ${random.between(0, body.length)}`)
        return body
      case 'long':
        headers.push(`Content-Length: ${body.length + random.between(1, 10_000)}`)
        return body
      case 'none':
        return body
      case 'both':
        headers.push(`Content-Length: ${body.length}`, 'Transfer-Encoding: chunked')
        return this.#chunks(body)
      case 'chunked':
        headers.push('Transfer-Encoding: chunked')
        return this.#chunks(body)
    }
  }

  #chunks(body: Buffer): Buffer {
    const random = this.#random
    const parts: Buffer[] = []
    for (let from = 0; from < body.length && parts.length < 200; ) {
      const part = body.subarray(from, from + random.between(1, Math.max(1, body.length)))
      from += part.length
      let size = part.length.toString(16)
      if (random.chance(0.05))
        size = random.pick([
          '-1',
          '0x5',
          'g',
          '',
          'ffffffffffffffffff',
          `${size} `,
          '0',
          `00000000${size}`,
          '5;'.repeat(9000),
        ])
      const extension = random.chance(0.05) ? random.pick([';a=b', ';'.repeat(2000), ';a="\u0000"']) : ''
      parts.push(
        Buffer.from(`${size}${extension}\r\n`),
        part,
        Buffer.from(random.chance(0.02) ? '\n' : '\r\n'),
      )
    }
    const end = random.chance(0.05)
      ? random.pick(['0\r\n', '', '0\n\n', '0\r\nTrailer: x\r\n\r\n', '0\r\nContent-Length: 5\r\n\r\n'])
      : '0\r\n\r\n'
    return Buffer.concat([...parts, Buffer.from(end)])
  }

  /** A few random bytes changed, added, taken away or repeated. */
  #mangle(bytes: Buffer): Buffer {
    const random = this.#random
    let mangled: Buffer = Buffer.from(bytes)
    for (let times = random.between(1, 4); times > 0; times -= 1) {
      // Mostly in the head, where more depends on each byte.
      const at = random.between(
        0,
        Math.max(0, Math.min(mangled.length - 1, random.chance(0.7) ? 400 : mangled.length)),
      )
      const [before, after] = [mangled.subarray(0, at), mangled.subarray(at)]
      switch (random.pick(['flip', 'drop', 'insert', 'repeat', 'cut'] as const)) {
        case 'flip':
          mangled = Buffer.concat([before, Buffer.from([random.between(0, 255)]), after.subarray(1)])
          break
        case 'drop':
          mangled = Buffer.concat([before, after.subarray(random.between(1, 20))])
          break
        case 'insert':
          mangled = Buffer.concat([
            before,
            Buffer.from(random.pick(['\r\n', '\n', '\u0000', ' ', ':', '\r\n\r\n', '🦫'])),
            after,
          ])
          break
        case 'repeat':
          mangled = Buffer.concat([before, after.subarray(0, 50), after])
          break
        case 'cut':
          mangled = Buffer.from(before)
          break
      }
    }
    return mangled
  }
}
