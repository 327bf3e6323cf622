/** Small requests as fast as they go, sent by wrk, which takes far less CPU for one than any server here. */
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import type { LoadRequest } from './load.ts'
import type { Sample } from './report.ts'

/** Repeats a request over so many connections; answers how often it was answered. Any refusal is an error. */
export const wrk = async (
  port: number,
  { method, target, headers = {}, body }: LoadRequest,
  { connections, seconds }: { connections: number; seconds: number },
): Promise<Sample> => {
  const words = ['-t', '1', '-c', String(connections), '-d', `${seconds}s`]
  for (const [name, value] of Object.entries(headers)) words.push('-H', `${name}: ${value}`)
  const script = new URL(`./wrk-${method.toLowerCase()}.lua`, import.meta.url).pathname
  if (method !== 'GET') words.push('-s', script)
  words.push(`http://127.0.0.1:${port}${target}`)
  if (body && 'text' in body && method !== 'GET') words.push('--', body.text)
  const { stdout } = await promisify(execFile)('wrk', words, { encoding: 'utf8' }).catch((error) => {
    throw new Error(error.code === 'ENOENT' ? 'wrk is missing: apt-get install wrk' : error.message, {
      cause: error,
    })
  })
  const [, count, length] = /(\d+) requests in ([\d.]+m?s)/.exec(stdout) ?? []
  if (
    count === undefined ||
    Number(count) === 0 ||
    stdout.includes('Non-2xx') ||
    stdout.includes('Socket errors')
  )
    throw new Error(`wrk ${target}:\n${stdout}`)
  return { seconds: Number.parseFloat(length!), count: Number(count) }
}
