/** What a command line has around it: the process's own in earnest, streams in memory in tests. */
import { homedir } from 'node:os'
import type { Readable, Writable } from 'node:stream'

export interface Host {
  readonly stdin: Readable & { readonly isTTY?: boolean }
  readonly stdout: Writable
  /** Bars need a terminal's width and cursor; other streams get plain lines. */
  readonly stderr: Writable & { readonly isTTY?: boolean }
  readonly environment: Readonly<Record<string, string | undefined>>
}

/** The user's home directory. */
export const homeOf = ({ environment }: Host): string => environment.HOME || homedir()
