/**
 * What reverse proxies tell of a request: where it comes from, and under which URL its client sees the server. It is
 * believed only when the connection comes from one that `HOLDFAST_TRUSTED_PROXIES` names, and only in the one form that
 * `HOLDFAST_PROXY_HEADERS` names: the other one a proxy may pass on just as a client has sent it.
 *
 * Fastify knows `X-Forwarded-For`, `-Proto` and `-Host`, and goes from the nearest proxy back to the first address that is
 * not trusted. `Forwarded` (RFC 7239) is brought into that form before Fastify sees the request.
 */
import type { IncomingMessage } from 'node:http'
import { BlockList, isIP } from 'node:net'
import type { FastifyRequest } from 'fastify'
import parseForwarded from 'forwarded-parse'
import type { Config } from '../config.ts'
import { parsePublicUrl } from '../public-url.ts'

/** Tells whether an address is one of the trusted proxies'. */
export const createTrust = ({
  trustedProxies,
}: Pick<Config, 'trustedProxies'>): ((address: string | undefined) => boolean) => {
  const list = new BlockList()
  for (const entry of trustedProxies) {
    const [address, prefix] = entry.split('/') as [string, string?]
    const family = isIP(address) === 6 ? 'ipv6' : 'ipv4'
    if (prefix === undefined) list.addAddress(address, family)
    else list.addSubnet(address, Number(prefix), family)
  }
  return (address = '') => isIP(address) > 0 && list.check(address, isIP(address) === 6 ? 'ipv6' : 'ipv4')
}

/** Puts what `Forwarded` says into the headers that Fastify knows, and forgets what these said. */
export const translateForwarded = ({ headers }: Pick<IncomingMessage, 'headers'>): void => {
  const elements = readForwarded(headers.forwarded)
  for (const [name, value] of Object.entries({
    'x-forwarded-for': elements
      .flatMap((element) => element.for ?? [])
      .map(withoutPort)
      .join(', '),
    'x-forwarded-proto': elements.findLast((element) => element.proto)?.proto,
    'x-forwarded-host': elements.findLast((element) => element.host)?.host,
    // It has no counterpart.
    'x-forwarded-prefix': undefined,
  }))
    if (value) headers[name] = value
    else delete headers[name]
}

/** What a client has begun with may be nonsense; the last proxy's words behind it are not. */
const readForwarded = (header = ''): ReturnType<typeof parseForwarded> => {
  for (const text of [header, header.slice(header.lastIndexOf(',') + 1).trim()])
    try {
      return parseForwarded(text)
    } catch {}
  return []
}

/** Of `192.0.2.1:443`, `[2001:db8::1]:443` and `[2001:db8::1]` the address. */
const withoutPort = (node: string): string =>
  /^\[(.*)\](?::\w+)?$/.exec(node)?.[1] ?? (/^[\d.]+:\w+$/.test(node) ? node.split(':', 1)[0]! : node)

/** Where the client of a request reaches the server. */
export interface Place {
  /** The path in front of every path of the API: empty, or like `/api`. */
  readonly path: string
  /** With scheme and host if they are known, otherwise `path` again. */
  readonly url: string
}

/** Makes the function that finds the place: as a trusted proxy tells it, else as `HOLDFAST_PUBLIC_URL` has it. */
export const createPlaces = (
  config: Pick<Config, 'trustedProxies' | 'publicUrl'>,
): ((request: FastifyRequest) => Place) => {
  const isTrusted = createTrust(config)
  const configured = parsePublicUrl(config.publicUrl)
  return ({ raw, headers, protocol, host }) => {
    if (!isTrusted(raw.socket.remoteAddress)) return { path: configured.path, url: configured.url }
    const path = readPrefix(headers['x-forwarded-prefix']) ?? configured.path
    const isHostTold = headers['x-forwarded-host'] !== undefined && plainHost.test(host)
    const isKnown = isHostTold && (protocol === 'http' || protocol === 'https')
    return { path, url: configured.url || (isKnown ? `${protocol}://${host}${path}` : path) }
  }
}

/** Whether a trusted proxy has said for whom it asks. */
export const comesThroughProxy = ({ ips }: FastifyRequest): boolean => (ips?.length ?? 0) > 1

const plainHost = /^([\w.-]{1,253}|\[[\da-fA-F:.]{2,45}\])(:\d{1,5})?$/

/** It ends up in links: anything but a plain path is as good as none. */
const readPrefix = (header: string | string[] | undefined): string | undefined => {
  const last = String(header ?? '')
    .split(',')
    .at(-1)!
    .trim()
  return last.length <= 256 && /^(\/(?!\.{1,2}(\/|$))[\w.~-]+)+\/?$/.test(last)
    ? last.replace(/\/$/, '')
    : undefined
}
