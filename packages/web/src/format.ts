/** Sizes, times and counts in human units. */

const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB']

/** `1.5 GiB`, `17 B`: the same words as the command line's. */
export const size = (bytes: number): string => {
  let value = bytes
  let unit = 0
  // What would round to 1024.0 is one of the next unit
  while (value >= 1023.95 && unit < units.length - 1) {
    value /= 1024
    unit++
  }
  return `${unit === 0 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`
}

/** `1 234 567 bytes`, for those who want to know exactly. */
export const exactSize = (bytes: number): string => `${number(bytes)} ${bytes === 1 ? 'byte' : 'bytes'}`

const numbers = new Intl.NumberFormat('en')
export const number = (value: number): string => numbers.format(value)

/** `1 version`, `2 versions`. */
export const count = (value: number, word: string, plural = `${word}s`): string =>
  `${number(value)} ${value === 1 ? word : plural}`

const minute = 60
const hour = 60 * minute
const day = 24 * hour
const steps: readonly [limit: number, unit: Intl.RelativeTimeFormatUnit, seconds: number][] = [
  [50, 'second', 1],
  [50 * minute, 'minute', minute],
  [22 * hour, 'hour', hour],
  [25 * day, 'day', day],
  [340 * day, 'month', 30.44 * day],
  [Number.POSITIVE_INFINITY, 'year', 365.25 * day],
]
const relative = new Intl.RelativeTimeFormat('en', { numeric: 'always' })

/** `3 days ago`, `in 5 hours`, from seconds since 1970. */
export const ago = (at: number, now = Date.now() / 1000): string => {
  const seconds = at - now
  if (Math.abs(seconds) < 5) return seconds > 0 ? 'in a moment' : 'just now'
  const [, unit, length] = steps.find(([limit]) => Math.abs(seconds) < limit)!
  return relative.format(Math.round(seconds / length), unit)
}

const dates = new Intl.DateTimeFormat('en-GB', { dateStyle: 'medium', timeStyle: 'medium' })
/** A moment in the reader's time zone, from seconds since 1970. */
export const moment = (at: number): string => dates.format(at * 1000)

/** A text of the server's, its moments in the reader's time zone. */
export const inLocalTime = (text: string): string =>
  text.replace(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, (iso) => moment(Date.parse(iso) / 1000))

const clock = new Intl.DateTimeFormat('en-GB', { timeStyle: 'short' })
const days = new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'short' })
const months = new Intl.DateTimeFormat('en-GB', { month: 'short', year: 'numeric' })

/** Names of moments that lie `step` seconds apart, no longer than they need be: `15:00`, `25 Nov`, `Nov 2026`. */
export const momentsBy = (moments: readonly number[], step: number): string[] =>
  moments.map((at) => {
    const time = clock.format(at * 1000)
    if (step < day && time !== '00:00') return time
    return (step < 27 * day ? days : months).format(at * 1000)
  })

/** `0:07`, `1:02:03`, `3 days`, from seconds. */
export const duration = (seconds: number): string => {
  const whole = Math.ceil(seconds)
  if (whole >= 2 * day) return `${Math.floor(whole / day)} days`
  const two = (value: number) => String(value).padStart(2, '0')
  const [hours, minutes, rest] = [Math.floor(whole / hour), Math.floor(whole / minute) % 60, whole % 60]
  return hours > 0 ? `${hours}:${two(minutes)}:${two(rest)}` : `${minutes}:${two(rest)}`
}

/** A list in words: `a`, `a and b`, `a, b and c`. */
export const inWords = (words: readonly string[]): string =>
  words.length < 2 ? words.join('') : `${words.slice(0, -1).join(', ')} and ${words.at(-1)}`
