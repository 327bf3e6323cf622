import { lookup as systemLookup } from 'node:dns/promises'
import type { LookupFunction } from 'node:net'
import { HoldfastError } from '@holdfast/api/errors'
import { maxUrlLength } from '@holdfast/api/limits'
import ipaddr from 'ipaddr.js'
import { type Address, forbiddenReason } from './address-class.ts'
import { normalizeHost, parseAllowList } from './allow-list.ts'

/**
 * Keeps the server from being used as a way into networks that its clients cannot reach themselves.
 *
 * A name is not an address: whoever owns the name may point it at a private address, also after it was looked at.
 * So the check that counts is made when connecting (`guardedConnector`): `lookup` resolves the name once and checks every
 * address it got, and the connection goes to one of exactly these. `checkUrl` is for refusing early and with a clear reason. Both
 * are asked again for each redirect.
 */
export interface AddressGuard {
  /**
   * The URL, parsed, if it may be fetched as far as it tells by itself. Throws `url_invalid` for what is no plain
   * http or https URL, `url_forbidden` for a literal address (in any notation) that is not allowed.
   */
  checkUrl(url: string | URL): URL
  /** Throws `url_forbidden` when the host is a literal address that is not allowed; names pass. */
  checkLiteral(host: string): void
  /** The addresses of a host, for a socket to connect to; `url_forbidden` when one of them is not allowed. */
  readonly lookup: LookupFunction
}

export interface AddressGuardOptions {
  /** Host names, `*.suffix`, addresses and networks (see `parseAllowList`); a bad one throws. */
  allow: readonly string[]
  /** All addresses of a host name; the system's resolver by default. */
  resolve?: (host: string) => Promise<readonly string[]>
}

export function makeAddressGuard({ allow, resolve = resolveBySystem }: AddressGuardOptions): AddressGuard {
  const allowList = parseAllowList(allow)

  const checkAddress = (address: Address, host: string, isLiteral: boolean): void => {
    if (allowList.hasAddress(address)) return
    const reason = forbiddenReason(address)
    // The address behind a name is not told: it would show strangers what the internal name server answers.
    if (reason) throw forbidden(host, isLiteral ? `it is ${reason}` : `its name leads to ${reason}`)
  }

  const checkLiteral = (host: string): void => {
    const address = literalAddress(host)
    if (address) checkAddress(address, host, true)
  }

  const resolveChecked = async (host: string): Promise<string[]> => {
    const addresses = await resolve(host)
    if (addresses.length === 0) throw Object.assign(new Error('no addresses'), { code: 'ENOTFOUND' })
    if (!allowList.hasHost(host)) {
      for (const address of addresses) checkAddress(ipaddr.parse(address), normalizeHost(host), false)
    }
    return [...addresses]
  }

  const lookup: LookupFunction = (host, options, callback) => {
    resolveChecked(host).then(
      (addresses) => {
        const answers = addresses.map((address) => ({
          address,
          family: ipaddr.parse(address).kind() === 'ipv6' ? 6 : 4,
        }))
        if (options.all) callback(null, answers)
        else callback(null, answers[0]!.address, answers[0]!.family)
      },
      (error) => callback(error, options.all ? [] : ''),
    )
  }

  return {
    checkUrl: (url) => {
      const parsed = parseHttpUrl(url)
      checkLiteral(parsed.hostname)
      return parsed
    },
    checkLiteral,
    lookup,
  }
}

const resolveBySystem = async (host: string): Promise<string[]> =>
  (await systemLookup(host, { all: true, order: 'verbatim' })).map(({ address }) => address)

/** The address that a URL's host is, brackets removed; `undefined` for a name. */
function literalAddress(host: string): Address | undefined {
  const bare = host.replace(/^\[(.*)\]$/, '$1')
  return ipaddr.isValid(bare) ? ipaddr.parse(bare) : undefined
}

function parseHttpUrl(url: string | URL): URL {
  if (String(url).length > maxUrlLength) throw invalid(`it is longer than ${maxUrlLength} characters`)
  if (!URL.canParse(url)) throw invalid('it cannot be parsed')
  const parsed = new URL(url)
  if (parsed.protocol !== 'http:' && parsed.protocol !== 'https:')
    throw invalid('only http and https can be fetched')
  if (parsed.username !== '' || parsed.password !== '') throw invalid('it holds a user name or password')
  if (parsed.port === '0') throw invalid('there is no port 0')
  return parsed
}

const invalid = (reason: string) =>
  new HoldfastError('url_invalid', { message: `the url is not valid: ${reason}` })

const forbidden = (host: string, reason: string) =>
  new HoldfastError('url_forbidden', {
    message: `the server may not fetch from ${host}: ${reason}; its operator can allow this with HOLDFAST_FETCH_ALLOW`,
    detail: { host, reason, setting: 'HOLDFAST_FETCH_ALLOW' },
  })
