import type { ComponentChildren } from 'preact'
import type { Loaded } from '../load.ts'
import { Problem } from './problem.tsx'

interface LoadingProps<T> {
  readonly of: Loaded<T>
  readonly children: (data: T) => ComponentChildren
}

/** What was loaded; before that a word, and after a failure the error beside what came last. */
export const Loading = <T,>({ of: { data, error, isLoading, reload }, children }: LoadingProps<T>) => (
  <>
    <Problem error={error} onRetry={reload} />
    {data === undefined
      ? isLoading && (
          <p class="minor" aria-busy="true">
            Loading
          </p>
        )
      : children(data)}
  </>
)
