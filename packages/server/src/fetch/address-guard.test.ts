import { HoldfastError } from '@holdfast/api/errors'
import ipaddr from 'ipaddr.js'
import { describe, expect, it } from 'vitest'
import { forbiddenReason } from './address-class.ts'
import { makeAddressGuard } from './address-guard.ts'
import { guardedConnector } from './guarded-connector.ts'

const guard = (allow: string[] = [], answers: string[] = []) =>
  makeAddressGuard({ allow, resolve: async () => answers })

/** Hands the connector a host and answers its error; fails if it reports a connection. */
const refusal = (parts: ReturnType<typeof guard>, hostname: string) =>
  new Promise<Error>((resolve, reject) => {
    const connect = guardedConnector(parts, 2000)
    connect({ hostname, host: hostname, protocol: 'http:', port: '9' }, (error, socket) => {
      socket?.destroy()
      if (error) resolve(error)
      else reject(new Error(`connected to ${hostname}`))
    })
  })

const forbiddenHosts = [
  ...[
    '127.0.0.1',
    '127.255.255.254',
    '0x7f.1',
    '017700000001',
    '2130706433',
    '127.1',
    '0x7f000001',
    '0177.0.0.1',
  ],
  ...['127.0.0.1.', '%31%32%37.0.0.1', '①②⑦.0.0.1', '0', '0.0.0.0', '0.1.2.3'],
  ...[
    '10.0.0.1',
    '10.255.255.255',
    '172.16.0.1',
    '172.31.255.255',
    '192.168.0.1',
    '100.64.0.1',
    '100.127.255.255',
  ],
  ...['169.254.0.1', '169.254.169.254', '168.63.129.16', '100.100.100.200', '192.0.0.192'],
  ...['192.0.0.1', '192.0.2.1', '198.51.100.1', '203.0.113.1', '198.18.0.1', '198.19.255.255', '192.88.99.1'],
  ...['224.0.0.1', '239.255.255.255', '240.0.0.1', '255.255.255.255'],
  ...[
    '[::]',
    '[::1]',
    '[::ffff:127.0.0.1]',
    '[::ffff:7f00:1]',
    '[::ffff:10.0.0.1]',
    '[::ffff:169.254.169.254]',
  ],
  ...['[::127.0.0.1]', '[::8.8.8.8]', '[::ffff:0:127.0.0.1]', '[::ffff:0:8.8.8.8]'],
  ...[
    '[64:ff9b::127.0.0.1]',
    '[64:ff9b::a9fe:a9fe]',
    '[64:ff9b:1::1]',
    '[2002:7f00:1::]',
    '[2002:808:808::1]',
  ],
  ...['[2001::1]', '[2001:0:4136:e378:8000:63bf:3fff:fdd2]', '[2001:2::1]', '[2001:10::1]', '[2001:20::1]'],
  ...['[2001:db8::1]', '[3fff::1]', '[fc00::1]', '[fd00:ec2::254]', '[fe80::1]', '[febf::1]', '[fec0::1]'],
  ...['[ff02::1]', '[100::1]', '[5f00::1]', '[4000::1]', '[e000::1]', '[0:0:0:0:0:0:0:1]'],
]
const publicHosts = [
  ...[
    '8.8.8.8',
    '1.1.1.1',
    '172.15.255.255',
    '172.32.0.1',
    '100.63.255.255',
    '100.128.0.1',
    '126.255.255.255',
  ],
  ...[
    '128.0.0.1',
    '223.255.255.255',
    '192.167.255.255',
    '192.169.0.1',
    '11.0.0.1',
    '0x08.8.8.8',
    '134744072',
  ],
  ...['[2606:4700:4700::1111]', '[2a00:1450::1]', '[::ffff:8.8.8.8]', '[64:ff9b::8.8.8.8]'],
]

describe('literal addresses', () => {
  it.each(forbiddenHosts)('http://%s/ is refused, when checked and when connecting', async (host) => {
    const url = `http://${host}/image`
    expect(() => guard().checkUrl(url)).toThrowError(expect.objectContaining({ code: 'url_forbidden' }))
    expect(await refusal(guard(), new URL(url).hostname)).toMatchObject({ code: 'url_forbidden' })
  })

  it.each(publicHosts)('http://%s/ is allowed', (host) => {
    expect(guard().checkUrl(`https://${host}/image`).pathname).toBe('/image')
  })

  it('says what is wrong and which setting allows it', () => {
    try {
      guard().checkUrl('http://192.168.1.1/secret?token=hunter2')
      expect.unreachable()
    } catch (error) {
      expect(error).toBeInstanceOf(HoldfastError)
      expect((error as Error).message).toBe(
        'the server may not fetch from 192.168.1.1: it is a private address; its operator can allow this with HOLDFAST_FETCH_ALLOW',
      )
    }
  })
})

describe('names', () => {
  const addresses = forbiddenHosts
    .map((host) => new URL(`http://${host}/`).hostname.replaceAll(/[[\]]/g, ''))
    .filter((address) => ipaddr.isValid(address))

  it.each(addresses)('a name that resolves to %s is refused', async (address) => {
    expect(await refusal(guard([], [address]), 'mirror.example')).toMatchObject({ code: 'url_forbidden' })
  })

  it.each(['fe80::1%eth0', '::ffff:127.0.0.1'])('a resolver may answer %s: refused', async (address) => {
    expect(await refusal(guard([], [address]), 'mirror.example')).toMatchObject({ code: 'url_forbidden' })
  })

  it('refuses a name when only one of its addresses is forbidden, and does not tell the address', async () => {
    const error = await refusal(guard([], ['8.8.8.8', '10.1.2.3', '1.1.1.1']), 'mirror.example')
    expect(error).toMatchObject({ code: 'url_forbidden' })
    expect(error.message).toContain('mirror.example: its name leads to a private address')
    expect(JSON.stringify([error.message, (error as HoldfastError).detail])).not.toContain('10.1.2.3')
  })

  it('takes an empty or nonsensical answer for a failure', async () => {
    expect(await refusal(guard([], []), 'mirror.example')).toMatchObject({ code: 'ENOTFOUND' })
    expect(await refusal(guard([], ['mirror.example']), 'mirror.example')).toBeInstanceOf(Error)
  })

  it('refuses localhost as the system resolves it', async () => {
    expect(await refusal(makeAddressGuard({ allow: [] }), 'localhost')).toMatchObject({
      code: 'url_forbidden',
    })
  })
})

describe('the allow list', () => {
  it.each([
    ['127.0.0.1', 'http://127.0.0.1/', true],
    ['127.0.0.1', 'http://0x7f.1/', true],
    ['127.0.0.1', 'http://[::ffff:127.0.0.1]/', true],
    ['127.0.0.1', 'http://127.0.0.2/', false],
    ['10.0.0.0/8', 'http://10.200.3.4/', true],
    ['10.0.0.0/8', 'http://11.0.0.1/', true],
    ['10.0.0.0/8', 'http://192.168.0.1/', false],
    ['10.0.0.0/8', 'http://[64:ff9b::10.0.0.1]/', true],
    ['fd00::/8', 'http://[fd12::1]/', true],
    ['fd00::/8', 'http://[fe80::1]/', false],
    ['[::1]', 'http://[::1]/', true],
    ['::/0', 'http://127.0.0.1/', false],
    ['0.0.0.0/0', 'http://[::1]/', false],
    ['2002::/16', 'http://[2002:7f00:1::]/', true],
  ])('%s lets %s through: %s', (entry, url, allowed) => {
    const check = () => guard([entry]).checkUrl(url)
    if (allowed) expect(check()).toBeInstanceOf(URL)
    else expect(check).toThrowError(expect.objectContaining({ code: 'url_forbidden' }))
  })

  // Nothing listens on 127.0.0.2 port 9, so an allowed attempt ends in ECONNREFUSED without leaving the machine.
  it.each([
    ['mirror.example', 'mirror.example', true],
    ['Mirror.Example.', 'mirror.example', true],
    ['mirror.example', 'MIRROR.example.', true],
    ['mirror.example', 'a.mirror.example', false],
    ['*.example', 'a.mirror.example', true],
    ['*.mirror.example', 'mirror.example', false],
    ['*.mirror.example', 'evilmirror.example', false],
    ['bücher.example', 'xn--bcher-kva.example', true],
    ['127.0.0.0/8', 'any.example', true],
  ])('%s lets the name %s through: %s', async (entry, host, allowed) => {
    const error = await refusal(guard([entry], ['127.0.0.2']), host)
    expect(error).toMatchObject({ code: allowed ? 'ECONNREFUSED' : 'url_forbidden' })
  })

  it.each([
    ...[
      '',
      ' ',
      '*',
      '*.',
      '*.*.example',
      'a*.example',
      'http://mirror.example',
      'mirror.example:80',
      'a b',
      'a,b',
    ],
    ...[
      '10.0.0.0/33',
      '10.0.0.0/',
      '10.0.0.0/8/8',
      '10.0.0.0/-1',
      '10.0.0.1/8',
      '10.0.0.0/255.0.0.0',
      '::1/129',
    ],
    ...[
      'fd00::1/8',
      '300.1.1.1',
      '10.1',
      '0x7f.1',
      '017700000001',
      '2130706433',
      'fe80::1%eth0',
      'mirror.example/24',
    ],
    ...['-a.example', `${'a'.repeat(64)}.example`, 'a..example'],
  ])('the entry %j is a configuration error', (entry) => {
    expect(() => guard(['mirror.example', entry])).toThrowError(
      /^HOLDFAST_FETCH_ALLOW: the entry .* is not valid/,
    )
  })

  it('tells the network that was probably meant', () => {
    expect(() => guard(['10.0.0.1/8'])).toThrowError(/write 10\.0\.0\.0\/8/)
  })
})

describe('URLs', () => {
  it.each([
    ['ftp://mirror.example/a', 'only http and https'],
    ['file:///etc/passwd', 'only http and https'],
    ['data:text/plain,a', 'only http and https'],
    ['http://user:hunter2@mirror.example/', 'user name or password'],
    ['http://user@mirror.example/', 'user name or password'],
    ['http://mirror.example:0/', 'port 0'],
    ['http://mirror.example:65536/', 'cannot be parsed'],
    ['http://', 'cannot be parsed'],
    ['/image', 'cannot be parsed'],
    ['', 'cannot be parsed'],
    [`http://mirror.example/${'a'.repeat(5000)}`, 'longer than'],
  ])('%s is invalid', (url, reason) => {
    const check = () => guard().checkUrl(url)
    expect(check).toThrowError(expect.objectContaining({ code: 'url_invalid' }))
    expect(check).toThrowError(reason)
    expect(check).not.toThrowError('hunter2')
  })
})

it('every forbidden literal has a reason in words', () => {
  for (const host of forbiddenHosts) {
    const address = ipaddr.parse(new URL(`http://${host}/`).hostname.replaceAll(/[[\]]/g, ''))
    expect(forbiddenReason(address)).toMatch(/^an? [a-z]/)
  }
})
