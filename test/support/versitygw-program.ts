/**
 * The program `versitygw`, built by Go from its module, in $TEST_S3_DIR or a directory under ~/.cache. `node
 * versitygw-program.ts` prints where it is.
 */
import { homedir } from 'node:os'
import { join } from 'node:path'
import { findGoProgram } from './go-program.ts'

const release = 'v1.8.0'

if (import.meta.main) {
  const directory = process.env.TEST_S3_DIR ?? join(homedir(), '.cache', 'holdfast-bench')
  console.log(findGoProgram('github.com/versity/versitygw/cmd/versitygw', release, directory))
}
