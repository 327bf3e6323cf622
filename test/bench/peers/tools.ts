/** The floors of the machine: what hashing and writing cost without any server. */
import { execFileSync } from 'node:child_process'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { runCommand } from '../load.ts'
import type { Sample } from '../report.ts'
import type { Contestant } from '../rounds.ts'

/** Hashing, copying and writing of one file, with a flush at the end where something is written. */
export const floorContestants = (directory: string, path: string, size: number): Contestant[] => {
  const copy = join(directory, 'copy')
  const tool = (name: string, script: string): Contestant => ({
    name,
    async run() {
      const { seconds, cpuSeconds, peakRss } = await runCommand('sh', '-c', script, path, copy)
      await rm(copy, { force: true })
      return { seconds, bytes: size, cpuSeconds, peakRss }
    },
  })
  return [
    tool('sha512sum', 'sha512sum "$0"'),
    { name: 'openssl speed sha512', run: opensslSpeed },
    tool('dd, fsync', 'dd if="$0" of="$1" bs=1M conv=fsync'),
    tool('cp, sync FILE', 'cp "$0" "$1" && sync "$1"'),
  ]
}

/** One second of SHA-512 over pieces of 1 MiB, as OpenSSL itself counts it. */
const opensslSpeed = async (): Promise<Sample> => {
  const words = ['speed', '-seconds', '1', '-bytes', '1048576', 'sha512']
  const output = execFileSync('openssl', words, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })
  const thousands = /^sha512\s+([\d.]+)k$/m.exec(output)?.[1]
  if (thousands === undefined) throw new Error(`openssl speed says something unknown:\n${output}`)
  return { seconds: 1, bytes: Number(thousands) * 1000 }
}
