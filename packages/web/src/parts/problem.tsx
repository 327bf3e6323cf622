/** Errors, in the words of the server, with what helps to find them in its log. */
import { HoldfastError, NetworkError, RefusedError } from '@holdfast/client/browser'

/** What went wrong, in one sentence. */
export const describeError = (error: unknown): string => {
  if (error instanceof HoldfastError) return sentence(error.message)
  if (error instanceof NetworkError) return `The server could not be reached: ${error.message}.`
  return sentence(error instanceof Error ? error.message : String(error))
}

const sentence = (text: string): string =>
  `${text.slice(0, 1).toUpperCase()}${text.slice(1)}${/[.!?]$/.test(text) ? '' : '.'}`

interface ProblemProps {
  readonly error: unknown
  /** What can be done about it. */
  readonly advice?: string | undefined
  readonly onRetry?: () => void
}

/** Nothing while there is no error. */
export const Problem = ({ error, advice, onRetry }: ProblemProps) =>
  error === undefined ? null : (
    <div class="problem" role="alert">
      <p>
        {describeError(error)}
        {advice && ` ${advice}`}
      </p>
      {error instanceof RefusedError && error.requestId !== '' && (
        <p class="minor">
          Request <code>{error.requestId}</code>
        </p>
      )}
      {onRetry && (
        <button type="button" class="small secondary" onClick={onRetry}>
          Try again
        </button>
      )}
    </div>
  )
