/** One phase of a transfer in words: what the bars and the plain lines have in common. */
import type { DownloadProgress, UploadProgress } from '@holdfast/client'
import { duration, size } from '../output/units.ts'

export type Progress = UploadProgress | DownloadProgress
export type Phase = Progress['phase']

/** What people read for each phase. */
export const phaseNames: Readonly<Record<Phase, string>> = {
  hash: 'hash',
  lookup: 'look-up',
  send: 'send',
  convert: 'convert',
  receive: 'receive',
  verify: 'verify',
}

const steps: Readonly<Partial<Record<Phase, { running: string; done: (hit: boolean) => string }>>> = {
  lookup: {
    running: 'asking the server for this content',
    done: (hit) => (hit ? 'the server has this content' : 'the content is new to the server'),
  },
  convert: { running: 'making a version of it', done: () => 'done' },
}

/** Share done, 0 to 1; undefined while the total is not known. */
export const shareOf = ({ done, total }: Progress): number | undefined => {
  if (total === undefined) return undefined
  return total === 0 ? 1 : Math.min(1, done / total)
}

/** Whether the phase is measured in bytes. */
export const isMeasured = ({ phase }: Progress): boolean => steps[phase] === undefined

/** `12.0 MiB of 1.0 GiB, 4.0 MiB/s, 4:13 left, 8.0 MiB from before`. */
export const phaseText = (progress: Progress): string => {
  const { phase, done, total, rate, resumed, finished } = progress
  const step = steps[phase]
  if (step) return finished ? step.done('hit' in progress && progress.hit === true) : step.running
  const parts = [
    finished || total === undefined ? size(done) : `${size(done)} of ${size(total)}`,
    ...(rate > 0 ? [`${size(Math.round(rate))}/s`] : []),
    ...(!finished && total !== undefined && rate > 0 ? [`${duration((total - done) / rate)} left`] : []),
    ...(resumed > 0 ? [`${size(resumed)} from before`] : []),
    ...(finished ? ['done'] : []),
  ]
  return parts.join(', ')
}
