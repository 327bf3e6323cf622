/**
 * Who is signed in. The key stays in memory, where the client renews its token with it; the token goes into the tab's
 * session storage only if the person agreed, and lets a reloaded tab go on until the token expires.
 */
import { type BrowserClient, createClient, HoldfastError } from '@holdfast/client/browser'
import { signal } from '@preact/signals'

export interface Session {
  readonly client: BrowserClient
  readonly namespace: string
  /** The administrator's namespace. */
  readonly isSystem: boolean
}

interface Remembered {
  readonly namespace: string
  readonly token: string
}

/** The store that serves this page: one level above it. */
export const storeUrl = new URL('..', location.href.replace(/[?#].*$/, '')).href.replace(/\/$/, '')

export const session = signal<Session | undefined>()
/** Why somebody has to sign in again. */
export const signInNotice = signal('')
/** Set while calls are being repeated because the server does not answer. */
export const trouble = signal('')

const storageKey = 'holdfast.session'
/** Tokens live for minutes; the client renews them, and a reload should find a fresh one. */
const saveEveryMs = 60_000
const troubleShownMs = 20_000
let saving: ReturnType<typeof setInterval> | undefined
let troubleTimer: ReturnType<typeof setTimeout> | undefined

const tellTrouble = (text: string): void => {
  trouble.value = text
  clearTimeout(troubleTimer)
  troubleTimer = setTimeout(() => {
    trouble.value = ''
  }, troubleShownMs)
}

const connect = (login: { namespace: string; key?: string; token?: string }): Session => {
  const client = createClient({
    url: storeUrl,
    ...login,
    onRetry: ({ error }) => tellTrouble(`The server does not answer (${error.message}). Trying again.`),
  })
  return { client, namespace: login.namespace, isSystem: login.namespace === 'system' }
}

const remember = ({ namespace }: Session, token: string): void =>
  sessionStorage.setItem(storageKey, JSON.stringify({ namespace, token } satisfies Remembered))

/** Unless the person has signed out while the token was being renewed. */
const rememberNewest = async (opened: Session): Promise<void> => {
  const token = await opened.client.token()
  if (session.value === opened) remember(opened, token)
}

/** Exchanges a key for a token. Rejects with the client's error. */
export const signIn = async (namespace: string, key: string, mayRemember: boolean): Promise<void> => {
  const opened = connect({ namespace, key })
  const token = await opened.client.token()
  if (mayRemember) {
    remember(opened, token)
    saving = setInterval(() => rememberNewest(opened).catch(() => {}), saveEveryMs)
  }
  signInNotice.value = ''
  session.value = opened
}

/** Forgets the token and the key. Uploads that are under way are stopped by those who run them. */
export const signOut = (notice = ''): void => {
  clearInterval(saving)
  sessionStorage.removeItem(storageKey)
  signInNotice.value = notice
  session.value = undefined
}

/** After a reload: goes on with what the person let the tab remember. */
export const restoreSession = (): void => {
  try {
    const text = sessionStorage.getItem(storageKey)
    if (text !== null) session.value = connect(JSON.parse(text) as Remembered)
  } catch {
    // Storage is forbidden, or holds nonsense: one signs in.
  }
}

/** Whether an error says that the token is no good any more. */
export const isSessionOver = (error: unknown): boolean =>
  error instanceof HoldfastError &&
  (error.code.startsWith('token_') || error.code === 'authorization_missing')

/** Ends the session when an error says that it is over. */
export const noticeError = (error: unknown): void => {
  if (session.value !== undefined && isSessionOver(error))
    signOut('Your session has ended. Sign in to go on.')
}

/** The client of whoever is signed in; views are shown only then. */
export const useSession = (): Session => session.value!
