import { duration, size } from '../format.ts'

interface MeterProps {
  readonly label: string
  readonly done: number
  readonly total: number | undefined
  /** Bytes per second; 0 is not shown. */
  readonly rate?: number
  readonly isFinished?: boolean
  /** Stands in place of rate and time left. */
  readonly note?: string | undefined
}

/** How far a phase of a transfer is: a bar, bytes, rate and remaining time. */
export const Meter = ({ label, done, total, rate = 0, isFinished = false, note }: MeterProps) => {
  const left = total === undefined || rate <= 0 ? undefined : (total - done) / rate
  const facts = [
    total === undefined || isFinished ? size(done) : `${size(done)} of ${size(total)}`,
    ...(note !== undefined ? [note] : isFinished ? ['done'] : rate > 0 ? [`${size(rate)}/s`] : []),
    ...(note === undefined && !isFinished && left !== undefined ? [`${duration(left)} left`] : []),
  ]
  return (
    <div class="meter">
      <span class="meter-label">{label}</span>
      <progress
        value={isFinished ? 1 : done}
        max={isFinished ? 1 : total || 1}
        aria-label={`${label} progress`}
      />
      <span class="meter-facts">{facts.join(' · ')}</span>
    </div>
  )
}
