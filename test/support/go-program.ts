/**
 * Programs that tests and benchmarks want and that Go builds from their modules. Debian 12 has a Go that is too old for
 * them; its toolchain is then taken from Go's module proxy.
 */
import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { homedir, tmpdir } from 'node:os'
import { basename, join } from 'node:path'

const toolchain = `golang.org/toolchain@v0.0.1-go1.24.1.linux-${process.arch === 'x64' ? 'amd64' : process.arch}`

/**
 * Finds this release of the program of `module` in ~/.cache, or builds it there, which takes minutes, and gives its path.
 * Throws, with the reason, where that is impossible. What the compiler says goes to stderr.
 */
export const findGoProgram = (module: string, release: string): string => {
  const name = basename(module)
  const directory = join(homedir(), '.cache', 'holdfast-tests', `${name}-${release}`)
  const path = join(directory, name)
  if (existsSync(path)) return path
  console.error(`building ${module}@${release}`)
  try {
    const env = { ...process.env, GOBIN: directory }
    execFileSync(findGo(), ['install', `${module}@${release}`], {
      cwd: tmpdir(),
      env,
      stdio: ['ignore', 2, 2],
    })
  } catch (error) {
    throw new Error(`${name} cannot be built (apt-get install golang-go): ${(error as Error).message}`, {
      cause: error,
    })
  }
  return path
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
