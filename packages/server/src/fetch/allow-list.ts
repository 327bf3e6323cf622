import { domainToASCII } from 'node:url'
import ipaddr from 'ipaddr.js'
import { type Address, isV6, reachedAddress } from './address-class.ts'

/** What an operator lets the server fetch from beyond the public Internet. */
export interface AllowList {
  /** Whether a host of this name is allowed, wherever it resolves to. */
  hasHost(host: string): boolean
  hasAddress(address: Address): boolean
}

/**
 * Parses the entries of `HOLDFAST_FETCH_ALLOW`: host names (`mirror.example`, or `*.example` for every name below
 * it, not for `example` itself), IP addresses, and networks as `address/prefix`.
 *
 * An entry that is none of these is a mistake that must not pass for "allows nothing" or for "allows more", so it
 * is an error at start-up.
 */
export function parseAllowList(entries: readonly string[]): AllowList {
  const hosts = new Set<string>()
  const suffixes: string[] = []
  const networks: (readonly [Address, number])[] = []
  for (const entry of entries) {
    const network = parseNetwork(entry)
    if (network) {
      networks.push(network)
    } else if (entry.startsWith('*.')) {
      suffixes.push(`.${parseHostName(entry, entry.slice(2))}`)
    } else {
      hosts.add(parseHostName(entry, entry))
    }
  }
  return {
    hasHost: (host) => {
      const name = normalizeHost(host)
      return hosts.has(name) || suffixes.some((suffix) => name.endsWith(suffix))
    },
    hasAddress: (address) =>
      [address, reachedAddress(address)].some((each) => networks.some((network) => isIn(each, network))),
  }
}

/** Lower case, without the dot that marks a name as complete. */
export const normalizeHost = (host: string): string => host.toLowerCase().replace(/\.$/, '')

const isIn = (address: Address, [network, prefix]: readonly [Address, number]): boolean =>
  address.kind() === network.kind() && address.match([network, prefix])

function parseNetwork(entry: string): readonly [Address, number] | undefined {
  const [host, ...prefixes] = entry.split('/')
  if (prefixes.length === 0) {
    const address = parseAddress(entry)
    return address && [address, isV6(address) ? 128 : 32]
  }
  const address = parseAddress(host!)
  const prefix = prefixes.length === 1 && /^\d{1,3}$/.test(prefixes[0]!) ? Number(prefixes[0]) : Number.NaN
  if (!address || !(prefix <= (isV6(address) ? 128 : 32))) throw badEntry(entry, 'it is no network')
  const Kind = isV6(address) ? ipaddr.IPv6 : ipaddr.IPv4
  const first = Kind.networkAddressFromCIDR(`${address}/${prefix}`)
  if (first.toString() !== address.toString()) {
    throw badEntry(
      entry,
      `it has bits set behind its prefix; write ${first}/${prefix} if the network is meant`,
    )
  }
  return [address, prefix]
}

/** An address in its usual notation; the octal and short ones of old are more likely mistakes than meant. */
function parseAddress(text: string): Address | undefined {
  if (ipaddr.IPv4.isValidFourPartDecimal(text)) return ipaddr.IPv4.parse(text)
  const bare = text.replace(/^\[(.*)\]$/, '$1')
  return bare.includes(':') && !bare.includes('%') && ipaddr.IPv6.isValid(bare)
    ? ipaddr.IPv6.parse(bare)
    : undefined
}

const hostLabel = /^[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?$/

function parseHostName(entry: string, name: string): string {
  const host = normalizeHost(domainToASCII(name))
  const labels = host.split('.')
  if (host.length > 253 || !labels.every((label) => hostLabel.test(label))) {
    throw badEntry(entry, 'it is no host name, IP address or network')
  }
  // URL parsers read names that end in a number as addresses, so such an entry could never match.
  if (/^(?:\d+|0x[0-9a-f]*)$/.test(labels.at(-1)!)) throw badEntry(entry, 'it is no valid IP address')
  return host
}

const badEntry = (entry: string, reason: string) =>
  new Error(`HOLDFAST_FETCH_ALLOW: the entry ${JSON.stringify(entry)} is not valid: ${reason}`)
