import ipaddr from 'ipaddr.js'

export type Address = ipaddr.IPv4 | ipaddr.IPv6

/** ipaddr.js's names of the ranges that are not global unicast, in words for people. */
const rangeWords: Readonly<Record<string, string>> = {
  unspecified: 'an unspecified address',
  broadcast: 'a broadcast address',
  multicast: 'a multicast address',
  linkLocal: 'a link-local address',
  loopback: 'a loopback address',
  carrierGradeNat: 'an address of carrier-grade NAT',
  private: 'a private address',
  uniqueLocal: 'a private address',
  deprecatedSiteLocal: 'a private address',
  benchmarking: 'an address for benchmarks',
  '6to4': 'a tunnel address',
  teredo: 'a tunnel address',
}

/** IPv6 addresses that stand for an IPv4 address: IPv4-mapped (RFC 4291) and the well-known NAT64 prefix (RFC 6052). */
const embeddingNetworks = [ipaddr.IPv6.parseCIDR('::ffff:0:0/96'), ipaddr.IPv6.parseCIDR('64:ff9b::/96')]

/** The only IPv6 space that is assigned to the public Internet. */
const globalUnicastV6 = ipaddr.IPv6.parseCIDR('2000::/3')

/** Azure's metadata and agent endpoint: a public address that every machine there sees as its own host. */
const cloudHost = '168.63.129.16'

/**
 * The address that a packet for `address` reaches in the end: for an IPv6 address that embeds an IPv4 address this
 * is the latter, because a mapped address is only another spelling and NAT64 unpacks it.
 */
export function reachedAddress(address: Address): Address {
  if (!isV6(address)) return address
  const embeds = embeddingNetworks.some((network) => address.match(network))
  return embeds ? new ipaddr.IPv4(address.toByteArray().slice(12)) : address
}

/**
 * What is wrong with fetching from `address`, in words that follow "is"; `undefined` when it is a global unicast
 * address. Tunnel addresses (6to4, Teredo), IPv4-compatible ones and local NAT64 prefixes are all refused,
 * whatever they embed: nothing on the public Internet needs them any more.
 */
export function forbiddenReason(address: Address): string | undefined {
  const reached = reachedAddress(address)
  const range: string = reached.range()
  if (range !== 'unicast') return rangeWords[range] ?? 'a reserved address'
  if (isV6(reached) && !reached.match(globalUnicastV6)) return 'a reserved address'
  if (reached.toString() === cloudHost) return 'a link-local address'
  return undefined
}

export const isV6 = (address: Address): address is ipaddr.IPv6 => address.kind() === 'ipv6'
