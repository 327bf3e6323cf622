/** What commands say about themselves, and what shells are told: nothing here needs a server, but for names of things. */
import type { Command } from 'commander'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createProgram } from '../../packages/cli/src/program.ts'
import { makePlace, type Place } from './run.ts'

let place: Place
let commands: Command[]

/** The words that lead to a command, without `holdfast`. */
const wordsOf = (command: Command): string[] =>
  command.parent ? [...wordsOf(command.parent), command.name()] : []

const walk = (command: Command): Command[] => [command, ...command.commands.flatMap(walk)]

beforeAll(async () => {
  place = await makePlace()
  const { stdin, stdout, stderr } = process
  const program = createProgram({ stdin, stdout, stderr, environment: {} })
  await program.fillAll()
  commands = walk(program).filter((command) => !command.name().startsWith('__'))
})

afterAll(() => place.remove())

test('every command explains itself with examples that it understands', async () => {
  expect(commands.length).toBeGreaterThan(45)
  for (const command of commands) {
    const words = wordsOf(command)
    const { code, stdout, stderr } = await place.run(...words, '--help')
    expect({ words, code, stderr }).toEqual({ words, code: 0, stderr: '' })
    expect(stdout).toMatch(new RegExp(`^Usage: holdfast ${words.join(' ')}`))
    const examples = [...stdout.matchAll(/^ {2}\$ holdfast (.+)$/gm)].map(([, line]) => line!)
    expect(examples, words.join(' ')).not.toEqual([])
    // An example of a command is one of that command
    for (const line of examples) expect(line.replace(/^--\w+ /, '')).toContain(words.join(' '))
    for (const option of command.options) expect(option.description, option.flags).not.toBe('')
    for (const argument of command.registeredArguments) expect(stdout).toContain(argument.name())
  }
})

test('holdfast help says the same as --help', async () => {
  expect(await place.run('help', 'artifact', 'upload')).toEqual(
    await place.run('artifact', 'upload', '--help'),
  )
  expect((await place.run('help')).stdout).toBe((await place.run('--help')).stdout)
  expect((await place.run('--version')).stdout).toMatch(/^\d+\.\d+\.\d+\n$/)
})

test('shells are told what may come next', async () => {
  const cases: [words: string[], found: string[]][] = [
    [['artifact', 'dow'], ['download']],
    [['artifact', 'upload', '--no'], ['--no-checksum']],
    [['--json', 'lab'], ['label']],
    [
      ['completion', ''],
      ['bash', 'zsh', 'fish'],
    ],
    [
      ['artifact', 'upload', '--type', ''],
      ['image', 'other'],
    ],
    [['artifact', 'upload', 'name', ''], ['@files']],
    [['publish', '--name', 'x', ''], ['@files']],
    [['frob', ''], []],
  ]
  for (const [words, found] of cases) {
    const { stdout } = await place.run('__complete', '--', ...words)
    expect({ words, found: stdout.split('\n').filter(Boolean) }).toEqual({ words, found })
  }
  for (const shell of ['bash', 'zsh', 'fish'])
    expect((await place.run('completion', shell)).stdout).toContain('holdfast __complete')
})
