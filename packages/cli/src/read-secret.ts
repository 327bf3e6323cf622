/** Keys come in by ways that other users of the machine cannot watch: standard input, or a terminal without echo. */
import { text } from 'node:stream/consumers'
import { UserError } from './failures.ts'
import type { Host } from './host.ts'
import { interrupt, interrupted } from './interrupt.ts'

/** Reads a key: from the terminal without showing it, or the first line of standard input. */
export const readSecret = async (host: Host, prompt: string): Promise<string> => {
  const secret = host.stdin.isTTY ? await ask(prompt) : firstLine(await text(host.stdin))
  if (secret === '') throw new UserError('no key was given on standard input')
  return secret
}

const firstLine = (input: string): string => input.split(/\r?\n/, 1)[0]!

/** Only a process has a terminal. */
const ask = (prompt: string): Promise<string> =>
  new Promise((resolve, reject) => {
    const { stdin, stderr } = process
    let secret = ''
    const finish = (settle: () => void) => {
      stdin.setRawMode(false).pause().off('data', onData)
      stderr.write('\n')
      settle()
    }
    const onData = (data: string) => {
      for (const character of data) {
        if (character === '\r' || character === '\n') return finish(() => resolve(secret))
        if (character === '\u0003') {
          interrupt('SIGINT')
          return finish(() => reject(interrupted.reason))
        }
        if (character === '\u0004') return finish(() => resolve(secret))
        if (character === '\u007f' || character === '\b') secret = [...secret].slice(0, -1).join('')
        else if (character >= ' ') secret += character
      }
    }
    stderr.write(prompt)
    stdin.setRawMode(true).setEncoding('utf8').on('data', onData).resume()
  })
