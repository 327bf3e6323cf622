/** Sizes and times for people. */
const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB']

/** `1.5 GiB`, `17 B`. */
export const size = (bytes: number): string => {
  let value = bytes
  let unit = 0
  // What would round to 1024.0 is one of the next unit
  while (value >= 1023.95 && unit < units.length - 1) {
    value /= 1024
    unit++
  }
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit]}`
}

/** `0:07`, `1:02:03`, `3 days`. */
export const duration = (seconds: number): string => {
  const whole = Math.ceil(seconds)
  if (whole >= 2 * 86_400) return `${Math.floor(whole / 86_400)} days`
  const two = (value: number) => String(value).padStart(2, '0')
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60]
  return hours > 0 ? `${hours}:${two(minutes)}:${two(rest)}` : `${minutes}:${two(rest)}`
}

/** `1 version`, `2 versions`. */
export const count = (number: number, word: string): string => `${number} ${word}${number === 1 ? '' : 's'}`
