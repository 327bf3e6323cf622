import { Meter } from '../parts/meter.tsx'
import { Problem } from '../parts/problem.tsx'
import { downloadTasks, dropDownload } from './download.ts'

/** The downloads under way, at the bottom of every view. */
export const DownloadTray = () =>
  downloadTasks.value.length === 0 ? null : (
    <aside class="downloads" aria-label="Downloads">
      <ul class="plain">
        {downloadTasks.value.map((task) => {
          const { kind } = task.state.value
          const progress = task.progress.value
          return (
            <li key={task.id}>
              <Meter
                label={task.fileName}
                done={progress?.done ?? 0}
                total={task.size}
                rate={progress?.rate ?? 0}
                isFinished={kind === 'done'}
                note={kind === 'done' ? 'checked and saved' : undefined}
              />
              {task.state.value.kind === 'failed' && <Problem error={task.state.value.error} />}
              <button
                type="button"
                class="small quiet"
                onClick={() => (kind === 'running' ? task.controller.abort() : dropDownload(task))}
              >
                {kind === 'running' ? 'Cancel' : 'Dismiss'}
              </button>
            </li>
          )
        })}
      </ul>
    </aside>
  )
