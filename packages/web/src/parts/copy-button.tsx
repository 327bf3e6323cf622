/** Copying text, with a word that it worked. */
import { useState } from 'preact/hooks'

const shownMs = 1500

/** The clipboard exists only on secure pages; elsewhere the old way works. */
const copy = async (text: string): Promise<void> => {
  if (navigator.clipboard !== undefined) return await navigator.clipboard.writeText(text)
  const field = document.createElement('textarea')
  field.value = text
  document.body.append(field)
  field.select()
  document.execCommand('copy')
  field.remove()
}

interface CopyButtonProps {
  readonly text: string
  /** What is copied, for people who cannot see the button: "Copy ...". */
  readonly label: string
  readonly children?: string
}

export const CopyButton = ({ text, label, children = 'Copy' }: CopyButtonProps) => {
  const [isDone, setDone] = useState(false)
  const onClick = async () => {
    await copy(text)
    setDone(true)
    setTimeout(() => setDone(false), shownMs)
  }
  return (
    <button type="button" class="small quiet" aria-label={label} onClick={onClick}>
      <span aria-live="polite">{isDone ? 'Copied' : children}</span>
    </button>
  )
}

/** The command line's way of doing what stands beside it. */
export const Command = ({ text }: { text: string }) => (
  <div class="command">
    <code>{text}</code>
    <CopyButton text={text} label={`Copy the command: ${text}`} />
  </div>
)

/** The same in a row of a table, where there is no room to show it. */
export const CommandButton = ({ text }: { text: string }) => (
  <span title={`Copy the command: ${text}`}>
    <CopyButton text={text} label={`CLI. Copy the command: ${text}`}>
      CLI
    </CopyButton>
  </span>
)

/** The first characters of a digest, and all of it to copy. */
export const Digest = ({ value, name }: { value: string; name: string }) => (
  <span class="digest">
    <code title={value}>{value.slice(0, 12)}…</code>
    <CopyButton text={value} label={`Copy the ${name} ${value.slice(0, 12)}`} />
  </span>
)
