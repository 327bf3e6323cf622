/**
 * The kinds of settings there are: how the text of an environment variable is read, and refused.
 */
import { isIP } from 'node:net'

export const KiB = 1024
export const MiB = 1024 * KiB
export const GiB = 1024 * MiB
export const TiB = 1024 * GiB

/** One setting: its variable, what it means, and how its text is read. */
export interface Setting<T> {
  readonly variable: string
  readonly meaning: string
  readonly fallback: T
  readonly secret?: true
  /** What sizes and times are counted in. */
  readonly unit?: 'bytes' | 'seconds'
  parse(text: string): T
}

/** What is wrong with the settings, in words for the person who wrote them. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError'
}

export const text = (variable: string, fallback: string, meaning: string): Setting<string> => ({
  variable,
  fallback,
  meaning,
  parse: (value) => value,
})

export const secret = (variable: string, meaning: string): Setting<string | undefined> => ({
  variable,
  fallback: undefined,
  meaning,
  secret: true,
  parse: (value) => value,
})

const units: Record<string, number> = { '': 1, KiB, MiB, GiB, TiB }

export const bytes = (variable: string, fallback: number, meaning: string): Setting<number> => ({
  variable,
  fallback,
  meaning,
  unit: 'bytes',
  parse: (value) => {
    const match = /^(\d{1,16})\s*(KiB|MiB|GiB|TiB)?$/.exec(value)
    const size = match && Number(match[1]) * units[match[2] ?? '']!
    if (size === null || !Number.isSafeInteger(size))
      throw new ConfigError(`${variable} is not a size: ${value}`)
    return size
  },
})

export const seconds = (variable: string, fallback: number, meaning: string): Setting<number> => ({
  variable,
  fallback,
  meaning,
  unit: 'seconds',
  parse: (value) => {
    const number = Number(value)
    if (!/^\d+(\.\d+)?$/.test(value) || number > 1e9)
      throw new ConfigError(`${variable} is not a number of seconds: ${value}`)
    return number
  },
})

export const count = (variable: string, fallback: number, meaning: string): Setting<number> => ({
  variable,
  fallback,
  meaning,
  parse: (value) => {
    if (!/^\d{1,9}$/.test(value)) throw new ConfigError(`${variable} is not a whole number: ${value}`)
    return Number(value)
  },
})

export const flag = (variable: string, fallback: boolean, meaning: string): Setting<boolean> => ({
  variable,
  fallback,
  meaning: `${meaning} on or off.`,
  parse: (value) => {
    if (value !== 'on' && value !== 'off')
      throw new ConfigError(`${variable} is neither on nor off: ${value}`)
    return value === 'on'
  },
})

export const list = (variable: string, meaning: string): Setting<readonly string[]> => ({
  variable,
  fallback: [],
  meaning: `${meaning} Separated by commas.`,
  parse: (value) =>
    value
      .split(',')
      .map((entry) => entry.trim())
      .filter(Boolean),
})

/** The first of the words is the default. */
export const oneOf = <T extends string>(
  variable: string,
  words: readonly [T, ...T[]],
  meaning: string,
): Setting<T> => ({
  variable,
  fallback: words[0],
  meaning,
  parse: (value) => {
    const word = words.find((other) => other === value)
    if (word === undefined) throw new ConfigError(`${variable} is none of ${words.join(', ')}: ${value}`)
    return word
  },
})

export const endpoint = (variable: string, meaning: string): Setting<string> => ({
  variable,
  fallback: '',
  meaning,
  parse: (value) => {
    const url = URL.canParse(value) ? new URL(value) : undefined
    // Without the text itself: somebody may have put a password into it.
    if (!url || !/^https?:$/.test(url.protocol) || url.username !== '' || url.password !== '')
      throw new ConfigError(`${variable} is not a URL like https://host.example.com, without credentials`)
    return value
  },
})

export const networks = (variable: string, meaning: string): Setting<readonly string[]> => {
  const { parse, ...rest } = list(variable, meaning)
  return {
    ...rest,
    parse: (value) => {
      const entries = parse(value)
      for (const entry of entries) {
        const [, address = '', prefix = '0'] = /^([^/]+)(?:\/(\d{1,3}))?$/.exec(entry) ?? []
        const bits = { 4: 32, 6: 128 }[isIP(address)]
        if (bits === undefined || Number(prefix) > bits)
          throw new ConfigError(`${variable} is not a list of addresses and networks: ${entry}`)
      }
      return entries
    },
  }
}
