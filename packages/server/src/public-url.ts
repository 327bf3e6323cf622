import { paths } from '@holdfast/api/paths'
import { ConfigError } from './config.ts'

/** Where clients reach the server, as `HOLDFAST_PUBLIC_URL` has it. */
export interface PublicUrl {
  /** Without a slash at its end; empty when nobody has said. */
  readonly url: string
  /** Its path, the base path: `/api` of `https://files.example/api`, empty when there is none. */
  readonly path: string
}

/** First segments of paths that mean something by themselves. */
const taken = new Set(['ui', 'apidocs', ...Object.values(paths).map((route) => route.split('/')[1]!)])

/** Reads `HOLDFAST_PUBLIC_URL`; throws `ConfigError`. */
export const parsePublicUrl = (text: string): PublicUrl => {
  if (text === '') return { url: '', path: '' }
  const parsed = URL.canParse(text) ? new URL(text) : undefined
  // Without the text itself: somebody may have put a password into it.
  if (
    !parsed ||
    !/^https?:$/.test(parsed.protocol) ||
    parsed.username + parsed.password + parsed.search !== ''
  )
    throw new ConfigError('HOLDFAST_PUBLIC_URL is not a URL like https://files.example.com/api')
  const path = parsed.pathname.replace(/\/+$/, '')
  if (!/^(\/[\w.~-]+)*$/.test(path))
    throw new ConfigError(`HOLDFAST_PUBLIC_URL has a path with other than letters, digits and -._~: ${path}`)
  // A request for it could not be told from one whose base path the proxy has taken off.
  if (taken.has(path.split('/')[1]!))
    throw new ConfigError(`HOLDFAST_PUBLIC_URL has a path that belongs to the API: ${path}`)
  return { url: parsed.origin + path, path }
}

/** Takes the base path off the target of a request, unless a proxy has done so. */
export const withoutBasePath = (path: string, target: string): string => {
  if (!target.startsWith(path)) return target
  const rest = target.slice(path.length)
  if (rest.startsWith('/')) return rest
  return rest === '' || rest.startsWith('?') ? `/${rest}` : target
}
