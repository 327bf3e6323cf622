import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { MiB } from './bench.ts'
import { runCommand } from './load.ts'

/**
 * Takes memory for `bytes` of files and frees it. A virtual machine may have given its free memory back to the host;
 * getting it again costs many times what writing into it does, and would be paid by whoever writes when little of
 * it is left, which the order of the contestants decides.
 */
export const fetchFreeMemory = async (directory: string, bytes: number): Promise<void> => {
  const path = join(directory, 'memory')
  await runCommand('dd', 'if=/dev/zero', `of=${path}`, 'bs=1M', `count=${Math.ceil(bytes / MiB)}`)
  await runCommand('sync', path)
  await rm(path)
}
