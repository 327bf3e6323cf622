/**
 * The program `tusd`, built by Go from its module. `node tusd-program.ts` builds it beforehand, in $TEST_TUSD_DIR or a
 * directory under ~/.cache. Debian 12 has a Go that is too old for it; its toolchain is then taken from Go's module proxy.
 */
import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { homedir, tmpdir } from 'node:os'
import { join } from 'node:path'

const release = 'v2.8.0'
const tusdModule = `github.com/tus/tusd/v2/cmd/tusd@${release}`
const toolchain = `golang.org/toolchain@v0.0.1-go1.24.1.linux-${process.arch === 'x64' ? 'amd64' : process.arch}`

export interface TusdProgram {
  readonly path: string
  readonly release: string
}

/** Finds it or builds it, which takes minutes. Throws, with the reason, where that is impossible. */
export const findTusd = (): TusdProgram => {
  const bin = process.env.TEST_TUSD_DIR ?? join(homedir(), '.cache', 'holdfast-bench')
  const path = join(bin, 'tusd')
  if (existsSync(path)) return { path, release }
  console.log(`building ${tusdModule}`)
  try {
    const env = { ...process.env, GOBIN: bin }
    execFileSync(findGo(), ['install', tusdModule], { cwd: tmpdir(), env, stdio: 'inherit' })
  } catch (error) {
    throw new Error(`tusd cannot be built (apt-get install golang-go): ${(error as Error).message}`, {
      cause: error,
    })
  }
  return { path, release }
}

/** The first release that fetches newer toolchains by itself is 1.21. */
const findGo = (): string => {
  const [, minor] = /^go1\.(\d+)/.exec(execFileSync('go', ['env', 'GOVERSION'], { encoding: 'utf8' })) ?? []
  if (minor === undefined || Number(minor) >= 21) return 'go'
  const words = ['mod', 'download', '-json', toolchain]
  const { Dir: directory } = JSON.parse(execFileSync('go', words, { cwd: tmpdir(), encoding: 'utf8' })) as {
    Dir: string
  }
  // Modules carry no permission to execute.
  execFileSync('chmod', ['-R', '+x', join(directory, 'bin'), join(directory, 'pkg', 'tool')])
  return join(directory, 'bin', 'go')
}

if (import.meta.main) console.log(findTusd().path)
