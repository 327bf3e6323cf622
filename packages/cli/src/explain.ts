/** What is said about a failure: what happened, what was kept, and the next command. */
import {
  type HoldfastError,
  isHoldfastError,
  NetworkError,
  NotRepeatableError,
  RefusedError,
  SourceChangedError,
  UnexpectedReplyError,
  VerificationError,
} from '@holdfast/client'
import { ConfigError } from '@holdfast/client/node'
import {
  AdvisedError,
  type ExitCode,
  exitCodes,
  Interrupted,
  NotFoundError,
  SomeFailed,
  UsageError,
  UserError,
} from './failures.ts'
import { str } from './output/python.ts'

export interface Failure {
  readonly exitCode: ExitCode
  /** The first line says what happened; the others help. */
  readonly lines: readonly string[]
}

const byStatus = (status: number): ExitCode => {
  if (status === 404) return exitCodes.notFound
  if (status === 401 || status === 403) return exitCodes.notAllowed
  return status >= 500 && status !== 507 ? exitCodes.network : exitCodes.user
}

const wrongBytes = new Set(['digest_mismatch', 'size_mismatch', 'blob_damaged'])

const ofRefusal = (error: HoldfastError): ExitCode => {
  if (wrongBytes.has(error.code)) return exitCodes.verification
  return error.retryable ? exitCodes.network : byStatus(error.status)
}

interface Candidate {
  readonly uuid: string
  readonly namespace: string
  readonly type: string
  readonly source_url: string
}

const hintsFor = (error: HoldfastError): string[] => {
  switch (error.code) {
    case 'wrong_key':
      return [
        'The server does not accept this key for this namespace. `holdfast login` asks for another one.',
      ]
    case 'authorization_missing':
      return ['No key is configured for this server. `holdfast login` asks for one and remembers it.']
    case 'system_only':
      return ['Only the namespace system may do this.']
    case 'artifact_ambiguous': {
      const candidates = (error.detail?.candidates ?? []) as readonly Candidate[]
      return [
        'Name it by its UUID:',
        ...candidates.map(({ uuid, namespace, type, source_url }) =>
          str(`  ${uuid}  ${type} in ${namespace}, from ${source_url}`),
        ),
      ]
    }
    case 'artifact_not_found':
      return ['`holdfast artifact list` shows those you may see.']
    case 'label_not_found':
      return ['`holdfast label list` shows those you may see.']
    case 'namespace_not_found':
      if (error.detail?.login !== undefined) {
        return ['`holdfast login --namespace NAME` asks for the key of another one and remembers it.']
      }
      return ['`holdfast namespace list` shows those you may use.']
    case 'internal':
      return [`The server has a fault. Its log tells more${requestOf(error)}.`]
    default:
      return []
  }
}

const requestOf = (error: unknown): string =>
  error instanceof RefusedError && error.requestId !== '' ? ` under request ${error.requestId}` : ''

const bugLines = (error: unknown): string[] => [
  `this is a bug of holdfast: ${error instanceof Error ? error.message : String(error)}`,
  'Please report it to the people who keep your Holdfast, with the command and what `--verbose` adds to this message.',
]

/** Refusals of the operating system that a person can do something about, by their code. */
const isSystemError = (error: unknown): error is NodeJS.ErrnoException =>
  error instanceof Error && typeof (error as NodeJS.ErrnoException).syscall === 'string'

const systemMessage = (error: NodeJS.ErrnoException): string => {
  const words: Readonly<Record<string, string>> = {
    ENOENT: 'does not exist',
    EACCES: 'may not be accessed',
    EISDIR: 'is a directory',
    ENOTDIR: 'is not below a directory',
    EROFS: 'cannot be written: the file system is read-only',
  }
  const what = words[error.code ?? '']
  if (error.code === 'ENOSPC') return 'there is no space left on this machine'
  return what !== undefined && error.path !== undefined ? `${error.path} ${what}` : error.message
}

/** The exit code and the words for a failure. */
export const explain = (error: unknown): Failure => {
  if (error instanceof AdvisedError) {
    const { exitCode, lines } = explain(error.cause)
    return { exitCode, lines: [...lines, ...error.advice] }
  }
  if (error instanceof SomeFailed) return explainAll(error)
  const say = (exitCode: ExitCode, message: string, more: readonly string[] = []): Failure => ({
    exitCode,
    lines: [str(message), ...more],
  })
  if (error instanceof Interrupted) return say(error.exitCode, error.message)
  if (error instanceof UsageError) return say(exitCodes.usage, error.message, error.advice)
  if (error instanceof NotFoundError) return say(exitCodes.notFound, error.message, error.advice)
  if (error instanceof UserError) return say(exitCodes.user, error.message, error.advice)
  if (error instanceof ConfigError) {
    return say(exitCodes.user, error.message, ['`holdfast login` asks for what is missing and remembers it.'])
  }
  if (isHoldfastError(error)) return say(ofRefusal(error), error.message, hintsFor(error))
  if (error instanceof UnexpectedReplyError) return say(byStatus(error.status), error.message)
  if (error instanceof NetworkError) return say(exitCodes.network, error.message)
  if (error instanceof VerificationError) return say(exitCodes.verification, error.message)
  if (error instanceof SourceChangedError) return say(exitCodes.user, error.message)
  if (error instanceof NotRepeatableError) return say(exitCodes.network, error.message)
  if (isSystemError(error)) return say(exitCodes.user, systemMessage(error))
  return { exitCode: exitCodes.bug, lines: bugLines(error) }
}

/** One exit code when all agree; otherwise the interruption's, or that of the first. */
const explainAll = ({ message, failures }: SomeFailed): Failure => {
  const each = failures.map(({ label, error }) => ({ label, ...explain(error) }))
  const interruption = each.find(({ exitCode }) => exitCode > 128)
  return {
    exitCode: (interruption ?? each[0]!).exitCode,
    lines: [
      message,
      ...each.flatMap(({ label, lines: [first, ...more] }) => [
        `${str(label)}: ${first}`,
        ...more.map((line) => `  ${line}`),
      ]),
    ],
  }
}

/** The innermost error, whose stack is the interesting one. */
export const rootOf = (error: unknown): unknown =>
  error instanceof AdvisedError
    ? rootOf(error.cause)
    : error instanceof SomeFailed
      ? rootOf(error.failures[0]?.error)
      : error

/** Whether the server, or the way to it, did not answer. */
export const isUnreachable = (error: unknown): boolean => rootOf(error) instanceof NetworkError
