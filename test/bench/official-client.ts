/** The official client, as pinned for the interoperability tests: found, or installed for the time of the run. */
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

export interface OfficialClient {
  /** The path of `sf-client`. */
  readonly program: string
  /** Versions, for the record. */
  readonly description: string
}

const requirements = fileURLToPath(new URL('../interop/requirements.txt', import.meta.url))

/** The Python of `TEST_PYTHON`, or a new environment in `directory` with the client from PyPI. */
export const findOfficialClient = (directory: string): OfficialClient => {
  let python = process.env.TEST_PYTHON
  if (python === undefined) {
    const pin = /^shakenfist-client==\S+$/m.exec(readFileSync(requirements, 'utf8'))?.[0]
    if (pin === undefined) throw new Error(`${requirements} pins no shakenfist-client`)
    console.log(`installing ${pin} from PyPI`)
    execFileSync('python3', ['-m', 'venv', join(directory, 'python')], { stdio: 'inherit' })
    python = join(directory, 'python', 'bin', 'python')
    const pip = ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', pin]
    execFileSync(python, pip, { stdio: 'inherit' })
  }
  const ask =
    'import importlib.metadata as m, platform; print(m.version("shakenfist-client"), platform.python_version())'
  const [client, runtime] = execFileSync(python, ['-c', ask], { encoding: 'utf8' }).trim().split(' ')
  return {
    program: join(dirname(python), 'sf-client'),
    description: `sf-client ${client} on Python ${runtime}`,
  }
}
