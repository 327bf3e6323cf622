import { Interrupted } from './failures.ts'

const interruption = new AbortController()

/** Aborted by the first Ctrl-C, with an `Interrupted` as its reason. */
export const interrupted: AbortSignal = interruption.signal

/** The first signal ends what is being done in an orderly way; a second one ends the process. */
export const watchSignals = (): void => {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => interrupt(signal))
  }
}

/** Acts as if a signal had come. A terminal in raw mode sends Ctrl-C as a character. */
export const interrupt = (signal: 'SIGINT' | 'SIGTERM' | 'SIGHUP'): void => {
  const reason = new Interrupted(signal)
  if (interrupted.aborted) process.exit(reason.exitCode)
  interruption.abort(reason)
}
