/** What a check finds, and what it does about it. */
import type { CheckFault, CheckView } from '@holdfast/api/backup-schemas'
import type { Parts } from '../../parts.ts'

export type CheckReport = {
  -readonly [K in Exclude<
    keyof CheckView,
    'state' | 'repair' | 'started_at' | 'ended_at' | 'error'
  >]: CheckView[K]
}

export const emptyReport = (): CheckReport => ({
  checked_blobs: 0,
  checked_files: 0,
  checked_uploads: 0,
  quarantined_blobs: 0,
  found: 0,
  repaired: 0,
  faults: [],
})

export interface CheckWork {
  readonly parts: Parts
  readonly repair: boolean
  /** Milliseconds for which a file may stand without a row: somebody may be at work with it. */
  readonly graceMs: number
  readonly signal: AbortSignal
  readonly report: CheckReport
}

const maxTold = 1000

/**
 * Notes a fault, and repairs it if that is asked for. A repair looks again before it changes anything, and answers why it
 * did not repair, or undefined.
 */
export const noteFault = async (
  { report, repair, parts }: CheckWork,
  fault: Pick<CheckFault, 'kind' | 'object' | 'message'>,
  mend: () => Promise<string | undefined>,
): Promise<void> => {
  report.found++
  const left = repair ? await mend() : undefined
  if (repair && left === undefined) report.repaired++
  if (repair) parts.log.warn({ fault, ...(left !== undefined && { left }) }, 'check: a fault was dealt with')
  if (report.faults.length >= maxTold) return
  report.faults.push({
    ...fault,
    message: left === undefined ? fault.message : `${fault.message}; ${left}`,
    outcome: !repair ? 'found' : left === undefined ? 'repaired' : 'left',
  })
}
