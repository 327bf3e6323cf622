/** Where the settings of a user come from, in the official client's order. */
import { readFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'

export interface UserConfig {
  readonly url: string
  readonly namespace?: string | undefined
  readonly key?: string | undefined
  /** Where the URL was found: `flags`, `environment` or a path. */
  readonly source: string
}

interface Given {
  readonly url?: string | undefined
  readonly namespace?: string | undefined
  readonly key?: string | undefined
}

/** Nothing says which server is meant, or a file that should say it cannot be understood. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError'
}

const system = '/etc/sf/shakenfist.json'

/**
 * Flags, then the environment (`SHAKENFIST_API_URL`, `SHAKENFIST_NAMESPACE`, `SHAKENFIST_KEY`), then `~/.shakenfist`, then
 * `/etc/sf/shakenfist.json`. The files are read only when no URL is known, so that a key from a file never goes to a
 * server that the file does not name.
 */
export const loadConfig = async (
  flags: Given = {},
  environment: Readonly<Record<string, string | undefined>> = process.env,
  files: readonly string[] = [join(homedir(), '.shakenfist'), system],
): Promise<UserConfig> => {
  const namespace = flags.namespace || environment.SHAKENFIST_NAMESPACE || undefined
  const key = flags.key || environment.SHAKENFIST_KEY || undefined
  if (flags.url) return { url: flags.url, namespace, key, source: 'flags' }
  const url = environment.SHAKENFIST_API_URL
  if (url) return { url, namespace, key, source: 'environment' }
  for (const path of files) {
    const found = await readConfigFile(path)
    if (found?.url) {
      return { url: found.url, namespace: namespace ?? found.namespace, key: key ?? found.key, source: path }
    }
  }
  throw new ConfigError(
    'no server is named: use --apiurl, SHAKENFIST_API_URL or the file ~/.shakenfist (JSON with apiurl, namespace, key)',
  )
}

/** A file that is missing or not for us is passed over; one that is broken is not. */
const readConfigFile = async (path: string): Promise<Given | undefined> => {
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code
    if (code === 'ENOENT' || code === 'EACCES' || code === 'ENOTDIR') return undefined
    throw new ConfigError(`cannot read ${path}`, { cause: error })
  }
  try {
    const { apiurl, namespace, key } = JSON.parse(text) as Record<string, string | undefined>
    return { url: apiurl, namespace, key }
  } catch (error) {
    throw new ConfigError(`${path} is not valid JSON`, { cause: error })
  }
}
