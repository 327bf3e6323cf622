/** Single facts: sizes, times, states. */
import { ago, exactSize, moment, size } from '../format.ts'

export const Size = ({ bytes }: { bytes: number }) => <span title={exactSize(bytes)}>{size(bytes)}</span>

/** How long ago, or in how long; `at` in seconds since 1970. */
export const Ago = ({ at }: { at: number }) => (
  <time dateTime={new Date(at * 1000).toISOString()} title={moment(at)}>
    {ago(at)}
  </time>
)

const tones: Readonly<Record<string, string>> = {
  error: 'bad',
  failed: 'bad',
  quarantined: 'bad',
  damaged: 'bad',
  initial: 'waiting',
  running: 'waiting',
  up: 'good',
  stopping: 'waiting',
  silent: 'waiting',
  gone: 'bad',
}

/** A word in a coloured frame. The colour says nothing that the word does not. */
export const Badge = ({ children, tone }: { children: string; tone?: string }) => (
  <span class={`badge ${tone ?? tones[children] ?? ''}`}>{children}</span>
)
