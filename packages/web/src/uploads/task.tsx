/** One upload of this tab: what it does, how far it is, and what can be done with it. */
import { isHoldfastError, type UploadProgress } from '@holdfast/client/browser'
import { commands } from '../commands.ts'
import { ago, count, duration, size } from '../format.ts'
import { CommandButton } from '../parts/copy-button.tsx'
import { Badge } from '../parts/facts.tsx'
import { Meter } from '../parts/meter.tsx'
import { Problem } from '../parts/problem.tsx'
import { noticeError, useSession } from '../session.ts'
import { dropUpload, type Kept, pauseUpload, resumeUpload, type UploadTask } from './queue.ts'
import { giveUp } from './unfinished.ts'

const words = {
  waiting: 'waiting',
  running: 'sending',
  paused: 'paused',
  failed: 'failed',
  done: 'done',
} as const

/** What a person can do about a failure, beyond trying again. */
const adviceFor = (error: unknown): string | undefined => {
  if (isHoldfastError(error, 'storage_full')) return 'An administrator has to make room on the server.'
  if (isHoldfastError(error, 'quota_exceeded'))
    return 'Delete what you no longer need, or ask an administrator for a higher limit.'
  return undefined
}

const keptText = (kept: Kept | 'unsent' | undefined): string =>
  kept === undefined
    ? 'What the server has received is kept there for a while.'
    : kept === 'unsent'
      ? 'Nothing was sent.'
      : kept.size === 0
        ? 'Nothing was kept: no byte had arrived.'
        : `${size(kept.size)} are kept on the server and expire ${ago(kept.expires_at)}.`

const Phases = ({ task }: { task: UploadTask }) => {
  const { hash, send, convert } = task.progress.value
  const of = ({ done, total, rate, finished }: UploadProgress) => ({
    done,
    total,
    rate,
    isFinished: finished,
  })
  const none = { done: 0, total: task.file.size }
  return (
    <>
      <Meter label="Checksum" {...(hash ? of(hash) : none)} />
      <Meter
        label="Sending"
        {...(send ? of(send) : none)}
        note={convert ? 'becoming a version' : undefined}
      />
    </>
  )
}

const Outcome = ({ task }: { task: UploadTask }) => {
  const state = task.state.value
  if (state.kind === 'done') {
    const { result, seconds } = state
    return (
      <p>
        <a href={`#/artifacts/${result.artifact.uuid}`}>
          {result.artifact.name}, version {result.version}
        </a>
        {': '}
        {result.hit
          ? 'already there, nothing sent.'
          : `${size(result.size)} in ${duration(seconds)}${result.resumed > 0 ? `, ${size(result.resumed)} from before` : ''}.`}
        {result.hit &&
          result.sent > 0 &&
          ` (${size(result.sent)} had gone out before the checksum was known.)`}
      </p>
    )
  }
  if (state.kind === 'paused') return <p>{keptText(state.kept)}</p>
  if (state.kind !== 'failed') return null
  return (
    <>
      <Problem error={state.error} advice={adviceFor(state.error)} />
      <p>{keptText(state.kept)}</p>
    </>
  )
}

export const Task = ({ task }: { task: UploadTask }) => {
  const { client } = useSession()
  const state = task.state.value
  const { kind } = state
  const mayGoOn = kind === 'paused' || kind === 'failed'
  const kept = 'kept' in state && state.kept !== 'unsent' ? state.kept : undefined
  const abandon = async () => {
    if (kept !== undefined) await giveUp(client, kept.uuid).catch(noticeError)
    dropUpload(task)
  }
  return (
    <li class="task" aria-label={`Upload of ${task.file.name}`}>
      <div class="task-header">
        <strong>{task.target.name}</strong>
        <span class="minor">
          {task.file.name === task.target.name ? '' : `${task.file.name}, `}
          {size(task.file.size)}
        </span>
        <span role="status">
          <Badge tone={kind === 'failed' ? 'bad' : kind === 'done' ? 'good' : 'waiting'}>{words[kind]}</Badge>
        </span>
        <span class="task-actions">
          {(kind === 'running' || kind === 'waiting') && (
            <button type="button" class="small secondary" onClick={() => pauseUpload(task)}>
              Pause
            </button>
          )}
          {mayGoOn && (
            <button type="button" class="small" onClick={() => resumeUpload(task)}>
              {kind === 'paused' ? 'Resume' : 'Try again'}
            </button>
          )}
          {kind !== 'done' && (
            <CommandButton text={commands.upload([{ ...task.target, file: task.file.name }])} />
          )}
          {mayGoOn && (
            <button type="button" class="small secondary" onClick={abandon}>
              {kept ? 'Give up' : 'Dismiss'}
            </button>
          )}
          {kept && <CommandButton text={commands.uploadAbort(kept.uuid)} />}
          {kind === 'done' && (
            <button type="button" class="small quiet" onClick={() => dropUpload(task)}>
              Dismiss
            </button>
          )}
        </span>
      </div>
      {kind === 'running' && task.resumed.value > 0 && (
        <p class="minor">Continued: {size(task.resumed.value)} were already on the server.</p>
      )}
      {kind !== 'done' && <Phases task={task} />}
      <Outcome task={task} />
    </li>
  )
}

/** `3 uploads, 2 done`, for those who cannot watch the bars. */
export const summary = (tasks: readonly UploadTask[]): string => {
  const done = tasks.filter(({ state }) => state.value.kind === 'done').length
  return tasks.length === 0 ? '' : `${count(tasks.length, 'upload')}, ${done} done`
}
