/** Progress of transfers: bars on a terminal, plain lines elsewhere, nothing with `--quiet`. */
import type { WriteStream } from 'node:tty'
import type { Host } from '../host.ts'
import { LineDisplay } from './lines.ts'
import type { Progress } from './phase-text.ts'

export interface Display {
  /** Shows how far a phase of a transfer has come. The label tells transfers apart; one alone has an empty one. */
  update(label: string, progress: Progress): void
  /** A line that stays. */
  note(text: string): void
  /** A transfer is over: its bars need not be shown any more. */
  finish(label: string): void
  /** Leaves the terminal alone until the next update. */
  pause(): void
  /** Leaves the terminal as it should be. */
  stop(): void
}

const silent: Display = { update() {}, note() {}, finish() {}, pause() {}, stop() {} }

export const createDisplay = async ({ stderr, environment }: Host, quiet: boolean): Promise<Display> => {
  if (quiet) return silent
  if (!stderr.isTTY || environment.TERM === 'dumb') return new LineDisplay(stderr)
  // Only terminals need the library
  const { BarDisplay } = await import('./bars.ts')
  return new BarDisplay(stderr as WriteStream)
}
