import type { ComponentChildren } from 'preact'
import { useId, useLayoutEffect, useRef } from 'preact/hooks'

interface DialogProps {
  readonly title: string
  readonly onClose: () => void
  readonly children: ComponentChildren
}

/** A dialog over the page. It takes the focus and gives it back, and Escape closes it: the browser does all that. */
export const Dialog = ({ title, onClose, children }: DialogProps) => {
  const dialog = useRef<HTMLDialogElement>(null)
  const id = useId()
  // Before anything else can happen: what is typed next is meant for the dialog
  useLayoutEffect(() => {
    dialog.current?.showModal()
    // The first field, or the way back: Enter is not to delete anything that nobody has chosen to
    dialog.current?.querySelector<HTMLElement>('input, button.secondary')?.focus()
  }, [])
  return (
    <dialog ref={dialog} aria-labelledby={id} onClose={onClose}>
      <article>
        <h2 id={id}>{title}</h2>
        {children}
      </article>
    </dialog>
  )
}
