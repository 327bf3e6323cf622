/** What a view shows comes from the server: asked for when the view opens, when its inputs change, and on demand. */
import { useCallback, useEffect, useRef, useState } from 'preact/hooks'
import { noticeError } from './session.ts'

export interface Loaded<T> {
  /** What came last; kept while it is asked for anew. */
  readonly data: T | undefined
  readonly error: unknown
  readonly isLoading: boolean
  /** Asks anew. */
  reload(): void
}

export interface LoadOptions {
  /** Milliseconds after which it is asked for anew while the tab is looked at. */
  readonly everyMs?: number
}

/** Loads with `load` whenever `inputs` change; an answer to older inputs is dropped. */
export const useLoad = <T>(
  load: (signal: AbortSignal) => Promise<T>,
  inputs: readonly unknown[],
  { everyMs }: LoadOptions = {},
): Loaded<T> => {
  const [state, setState] = useState<{ data?: T; error?: unknown; isLoading: boolean }>({ isLoading: true })
  const [turn, setTurn] = useState(0)
  const latest = useRef(load)
  latest.current = load
  const reload = useCallback(() => setTurn((before) => before + 1), [])

  useEffect(() => {
    const controller = new AbortController()
    setState((before) => ({ ...before, isLoading: true }))
    latest.current(controller.signal).then(
      (data) => !controller.signal.aborted && setState({ data, isLoading: false }),
      (error: unknown) => {
        if (controller.signal.aborted) return
        noticeError(error)
        setState((before) => ({ ...before, error, isLoading: false }))
      },
    )
    return () => controller.abort()
  }, [...inputs, turn])

  useEffect(() => {
    if (everyMs === undefined) return
    const timer = setInterval(() => document.visibilityState === 'visible' && reload(), everyMs)
    return () => clearInterval(timer)
  }, [everyMs, reload])

  return { data: state.data, error: state.error, isLoading: state.isLoading, reload }
}

export interface Action<Input extends unknown[]> {
  readonly isBusy: boolean
  readonly error: unknown
  /** Runs the action; answers whether it worked. While it is busy, another call does nothing. */
  run(...input: Input): Promise<boolean>
  clear(): void
}

/** Something a person does by a button: once at a time, with its error kept to be shown. */
export const useAction = <Input extends unknown[]>(
  act: (...input: Input) => Promise<unknown>,
): Action<Input> => {
  const [isBusy, setBusy] = useState(false)
  const [error, setError] = useState<unknown>()
  return {
    isBusy,
    error,
    clear: () => setError(undefined),
    async run(...input) {
      if (isBusy) return false
      setBusy(true)
      setError(undefined)
      try {
        await act(...input)
        return true
      } catch (failure) {
        noticeError(failure)
        setError(failure)
        return false
      } finally {
        setBusy(false)
      }
    },
  }
}
