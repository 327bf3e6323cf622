import type { ComponentChildren } from 'preact'
import { useEffect, useLayoutEffect, useRef } from 'preact/hooks'

interface ViewProps {
  readonly title: string
  /** Stands beside the title. */
  readonly aside?: ComponentChildren
  /** Stands above the title. */
  readonly back?: ComponentChildren
  readonly children: ComponentChildren
}

/** A view: names the tab, and gives its heading the focus so that a screen reader hears where it is. */
export const View = ({ title, aside, back, children }: ViewProps) => {
  const heading = useRef<HTMLHeadingElement>(null)
  useEffect(() => {
    document.title = `${title} · Holdfast`
  }, [title])
  // Before anybody can see the view and press Tab: later it would take the focus away again
  useLayoutEffect(() => heading.current?.focus({ preventScroll: true }), [])
  return (
    <>
      {back}
      <header class="view-header">
        <h1 ref={heading} tabIndex={-1}>
          {title}
        </h1>
        {aside}
      </header>
      {children}
    </>
  )
}
