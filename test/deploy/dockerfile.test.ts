/** The Dockerfile's build without containers: its own steps, with the files that it copies and no others. */
import { execFile } from 'node:child_process'
import { cp, mkdir, mkdtemp, readFile, rm, stat, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'

const root = fileURLToPath(new URL('../..', import.meta.url))
const linesOf = async (path: string): Promise<string[]> =>
  (await readFile(join(root, path), 'utf8')).split('\n').filter((line) => line !== '' && line[0] !== '#')

const buildPage = 'RUN node scripts/build-page.ts'
let context: string
let copied: string[]

beforeAll(async () => {
  context = await mkdtemp(join(tmpdir(), 'holdfast-image-'))
  const lines = await linesOf('deploy/Dockerfile')
  const steps = lines.slice(0, lines.indexOf(buildPage)).filter((line) => line.startsWith('COPY '))
  copied = []
  for (const step of steps) {
    const paths = step.split(' ').slice(1)
    const target = paths.pop()!
    for (const path of paths) {
      const isDirectory = (await stat(join(root, path))).isDirectory()
      const to = join(context, target, isDirectory ? '' : basename(path))
      await mkdir(join(context, isDirectory ? target : ''), { recursive: true })
      await cp(join(root, path), to, {
        recursive: true,
        filter: (from) => !/\/(node_modules|dist)$/.test(from),
      })
      copied.push(path)
    }
  }
  await symlink(join(root, 'node_modules'), join(context, 'node_modules'))
})
afterAll(() => rm(context, { recursive: true }))

test('whatever is copied is in the context of the build', async () => {
  const admitted = (await linesOf('deploy/Dockerfile.dockerignore'))
    .filter((line) => line.startsWith('!'))
    .map((line) => line.slice(1))
  expect(copied.length).toBeGreaterThan(5)
  const missing = copied.filter((path) => !admitted.some((one) => path === one || path.startsWith(`${one}/`)))
  expect(missing).toEqual([])
})

test('the page is built from what is copied', async () => {
  await promisify(execFile)(process.execPath, ['scripts/build-page.ts'], { cwd: context })
  expect(await readFile(join(context, 'packages/web/dist/index.html'), 'utf8')).toContain('<script')
})
