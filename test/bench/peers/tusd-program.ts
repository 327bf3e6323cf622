/**
 * The program `tusd`, built by Go from its module. `node tusd-program.ts` builds it beforehand.
 */
import { findGoProgram } from '../../support/go-program.ts'

const release = 'v2.8.0'

export interface TusdProgram {
  readonly path: string
  readonly release: string
}

/** Finds it or builds it, which takes minutes. Throws, with the reason, where that is impossible. */
export const findTusd = (): TusdProgram => ({
  path: findGoProgram('github.com/tus/tusd/v2/cmd/tusd', release),
  release,
})

if (import.meta.main) console.log(findTusd().path)
