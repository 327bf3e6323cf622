/**
 * The program `versitygw`, built by Go from its module. `node versitygw-program.ts` builds it if need be, and prints where
 * it is.
 */
import { findGoProgram } from './go-program.ts'

const release = 'v1.8.0'

if (import.meta.main) {
  console.log(findGoProgram('github.com/versity/versitygw/cmd/versitygw', release))
}
