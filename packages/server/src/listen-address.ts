import { ConfigError } from './config.ts'

/** Where to listen: `host:port`, `[IPv6]:port`. Port 0 lets the system choose. */
export interface ListenAddress {
  readonly host: string
  readonly port: number
}

/** Reads `HOLDFAST_LISTEN`. */
export const parseListen = (text: string): ListenAddress => {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]\s/]+)):(\d{1,5})$/.exec(text)
  const port = Number(match?.[3])
  if (!match || port > 65535)
    throw new ConfigError(`HOLDFAST_LISTEN is not an address and a port, like 127.0.0.1:13000: ${text}`)
  return { host: (match[1] ?? match[2])!, port }
}

const everyAddress: Readonly<Record<string, string>> = { '0.0.0.0': '127.0.0.1', '::': '[::1]' }

/** Whether it stands for all addresses of the machine, and so tells nobody where to find it. */
export const isEveryAddress = ({ host }: ListenAddress): boolean => Object.hasOwn(everyAddress, host)

/** The URL under which a client on this machine reaches the server. */
export const localUrl = ({ host, port }: ListenAddress, scheme: 'http' | 'https'): string =>
  `${scheme}://${everyAddress[host] ?? (host.includes(':') ? `[${host}]` : host)}:${port}`
