/** Processes that end with the one that started them, whatever it ends of but SIGKILL. */
import type { ChildProcess } from 'node:child_process'

const children = new Set<ChildProcess>()
process.once('exit', () => {
  for (const child of children) child.kill('SIGKILL')
})

/** From now on the child is killed when this process ends before it. */
export const endsWithUs = (child: ChildProcess): void => {
  children.add(child)
  child.once('exit', () => children.delete(child))
}
