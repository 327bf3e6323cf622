/**
 * The settings of the new store, from a file of lines NAME=VALUE: the one that the server will be started with. No secret needs to
 * stand on a command line.
 */
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { parseEnv } from 'node:util'
import { type Config, ConfigError, parseConfig } from '../../config.ts'

/**
 * Reads them. Other variables (credentials of S3, PG*) are put into `environment`, as they hold for the whole process; one
 * that says something else there already is refused. Throws `ConfigError`.
 */
export const readTargetSettings = (path: string, environment: Record<string, string | undefined>): Config => {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    throw new ConfigError(`${path} cannot be read: ${(error as Error).message}`)
  }
  const variables = parseEnv(text)
  for (const [name, value] of Object.entries(variables)) {
    if (name.startsWith('HOLDFAST_') || value === undefined) continue
    if (environment[name] !== undefined && environment[name] !== value)
      throw new ConfigError(`${name} is set to something else than ${path} says, and holds for both stores`)
    environment[name] = value
  }
  const own = Object.entries(variables).filter(([name]) => name.startsWith('HOLDFAST_'))
  try {
    const config = parseConfig(Object.fromEntries(own))
    return { ...config, dataDir: resolve(config.dataDir) }
  } catch (error) {
    if (error instanceof ConfigError) throw new ConfigError(`${path}: ${error.message}`)
    throw error
  }
}
