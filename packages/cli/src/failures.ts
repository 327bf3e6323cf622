/** What ends a run early, and the exit codes. What is said about it stands in `explain.ts`, which a good run needs not load. */
/** How a run ended, for scripts. `docs/command-line.md` lists these. */
export const exitCodes = {
  done: 0,
  user: 1,
  usage: 2,
  notFound: 3,
  notAllowed: 4,
  network: 5,
  verification: 6,
  bug: 70,
  interrupted: 130,
} as const

export type ExitCode = number

/** Something the user has to change. */
export class UserError extends Error {
  override readonly name: string = 'UserError'
  readonly advice: readonly string[]

  constructor(message: string, ...advice: string[]) {
    super(message)
    this.advice = advice
  }
}

/** A command line that makes no sense. */
export class UsageError extends UserError {
  override readonly name = 'UsageError'
}

/** What was asked for does not exist, as found out by this side. */
export class NotFoundError extends UserError {
  override readonly name = 'NotFoundError'
}

/** Ctrl-C, or a request to end. */
export class Interrupted extends Error {
  override readonly name = 'Interrupted'
  readonly exitCode: ExitCode

  constructor(signal: 'SIGINT' | 'SIGTERM' | 'SIGHUP') {
    super('interrupted')
    this.exitCode = 128 + { SIGHUP: 1, SIGINT: 2, SIGTERM: 15 }[signal]
  }
}

/** Another failure, with what was kept and how to go on. */
export class AdvisedError extends Error {
  override readonly name = 'AdvisedError'
  override readonly cause: unknown
  readonly advice: readonly string[]

  constructor(cause: unknown, advice: readonly string[]) {
    super(cause instanceof Error ? cause.message : String(cause))
    this.cause = cause
    this.advice = advice
  }
}

/** Several things were to be done, and some of them failed. */
export class SomeFailed extends Error {
  override readonly name = 'SomeFailed'
  readonly failures: readonly { readonly label: string; readonly error: unknown }[]

  constructor(failures: readonly { label: string; error: unknown }[], of: number) {
    super(`${failures.length} of ${of} failed`)
    this.failures = failures
  }
}
