/**
 * Where one is in the page: a path and a query behind the `#`, so that the server need not know the page's views and
 * the page works under any path. wouter does the rest.
 */
import { useSyncExternalStore } from 'preact/compat'
import type { BaseLocationHook, BaseSearchHook } from 'wouter-preact'

const subscribe = (listener: () => void): (() => void) => {
  addEventListener('hashchange', listener)
  return () => removeEventListener('hashchange', listener)
}
const here = (): string => location.hash.replace(/^#/, '') || '/'
const path = (): string => here().split('?', 1)[0]!
const search = (): string => here().slice(path().length + 1)

/** Goes to a view. With `replace` the way back leads past the present one. */
export const navigate = (to: string, { replace = false }: { replace?: boolean } = {}): void => {
  if (replace) {
    history.replaceState(null, '', `#${to}`)
    dispatchEvent(new HashChangeEvent('hashchange'))
  } else location.hash = to
}

export const hashLocation = Object.assign(
  (() => [useSyncExternalStore(subscribe, path), navigate]) as BaseLocationHook,
  {
    hrefs: (href: string) => `#${href}`,
  },
)
export const hashSearch: BaseSearchHook = () => useSyncExternalStore(subscribe, search)

/** A path's query from what is set: empty values are left out. */
export const withQuery = (to: string, query: Readonly<Record<string, string | undefined>>): string => {
  const set = Object.entries(query).filter((entry): entry is [string, string] => !!entry[1])
  return set.length === 0 ? to : `${to}?${new URLSearchParams(set)}`
}
