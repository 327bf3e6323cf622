import { useRef, useState } from 'preact/hooks'
import { commands } from '../commands.ts'
import { useLoad } from '../load.ts'
import { Command } from '../parts/copy-button.tsx'
import { View } from '../parts/view.tsx'
import { useSession } from '../session.ts'
import { Chooser } from '../uploads/chooser.tsx'
import { addUpload, runningUploads, uploadTasks } from '../uploads/queue.ts'
import { Staged } from '../uploads/staged.tsx'
import { summary, Task } from '../uploads/task.tsx'
import { listUnfinished, targetOf } from '../uploads/unfinished.ts'
import { UnfinishedList } from '../uploads/unfinished-list.tsx'

export const Uploads = () => {
  const current = useSession()
  const [staged, setStaged] = useState<{ id: number; files: File[] }>({ id: 0, files: [] })
  const tasks = uploadTasks.value.filter(({ namespace }) => namespace === current.namespace)
  const list = useRef<HTMLUListElement>(null)
  const unfinished = useLoad(() => listUnfinished(current), [tasks.length, runningUploads.value])
  // A record of a file that is on the list of this tab is no news.
  const isHere = ({ record }: { record: { target: { name: string }; source: { id: string } } }) =>
    tasks.some(({ target, file }) => target.name === record.target.name && file.name === record.source.id)
  const left = (unfinished.data ?? []).filter((entry) => !isHere(entry))

  const onFiles = (files: File[]) => {
    const fresh: File[] = []
    for (const file of files) {
      const target = targetOf(file, left)
      if (target) addUpload(file, target)
      else fresh.push(file)
    }
    if (fresh.length > 0) setStaged({ id: staged.id + 1, files: [...staged.files, ...fresh] })
  }
  const clear = () => setStaged({ id: staged.id + 1, files: [] })
  return (
    <View title="Upload">
      <Chooser onFiles={onFiles} />
      {staged.files.length > 0 && (
        <Staged
          key={staged.id}
          files={staged.files}
          onCancel={clear}
          onStart={(uploads) => {
            for (const { file, target } of uploads) addUpload(file, target)
            clear()
            // The form had the focus, and goes
            requestAnimationFrame(() => list.current?.focus())
          }}
        />
      )}
      <p class="unseen" role="status">
        {summary(tasks)}
      </p>
      {tasks.length > 0 && (
        <ul class="tasks" aria-label="Uploads of this tab" ref={list} tabIndex={-1}>
          {tasks.map((task) => (
            <Task key={task.id} task={task} />
          ))}
        </ul>
      )}
      {left.length > 0 && <UnfinishedList entries={left} onChange={unfinished.reload} />}
      {tasks.length === 0 && staged.files.length === 0 && (
        <Command text={commands.upload([{ name: 'NAME', file: 'FILE' }])} />
      )}
    </View>
  )
}
