/** Whether every action of the page has the command line's way of doing the same beside it. */
import type { Page } from 'playwright-core'
import { check } from './stage.ts'

/** What buttons that change or fetch something say, and the command that has to be next to them; `$1` is what the button names. */
const actions: readonly (readonly [button: string, command: string])[] = [
  ['Sign in', 'login http\\S+ --namespace'],
  ['Download version (\\d+)', 'artifact download --version $1 '],
  ['Share with everybody', 'artifact share '],
  ['Stop sharing', 'artifact unshare '],
  ['Set', 'artifact set-metadata '],
  ['Delete (commit|pipeline)', 'artifact delete-metadata \\S+ $1$'],
  ['Set the label', 'label update '],
  ['Upload', 'artifact upload '],
  ['Pause|Resume', 'artifact upload '],
  ['Give up', 'upload abort '],
  ['Create', 'namespace create '],
  ['Make a key', 'namespace add-key '],
  ['Delete the key (.+)', 'namespace delete-key \\S+ $1$'],
  ['Trust it', 'namespace add-trust '],
  ['Take back the trust in (.+)', 'namespace remove-trust \\S+ $1$'],
  ['Set limits', 'namespace limits \\S+ --bytes '],
  ['Run now: (.+)', 'admin run $1$'],
  ['Look again', 'admin collect --dry-run$'],
]

/** What dialogs ask to be confirmed. */
const confirmations: typeof actions = [
  ['Delete version (\\d+)', 'artifact delete-version \\S+ $1$'],
  ['Delete .+\\.qcow2', 'artifact delete '],
  ['Delete builds', 'namespace delete builds$'],
  ...actions,
]

/** What changes nothing in the store, or only opens a form or dialog that has its command itself. */
const without =
  /^(Cancel|Dismiss|Sign out|To the content|Previous|Next|Try again|Edit .+|Label version \d+|Delete version \d+|Delete this .+)$/

interface Button {
  readonly name: string
  readonly isInDialog: boolean
  /** All commands in the smallest part of the page that has any. */
  readonly commands: readonly string[]
}

/** Every button of what can be used now, closed forms included, but for those that copy. */
const buttonsOf = (page: Page): Promise<Button[]> =>
  page.evaluate(() => {
    const copies = '[aria-label*="Copy the command: "]'
    const nameOf = (button: Element) => button.getAttribute('aria-label') ?? button.textContent!.trim()
    const dialog = document.querySelector('dialog[open]')
    return [...(dialog ?? document).querySelectorAll('button')]
      .filter((button) => !nameOf(button).includes('Copy'))
      .map((button) => {
        let place: Element | null = button
        while (place && place !== document.body && !place.querySelector(copies)) place = place.parentElement
        const found = [...(place?.querySelectorAll(copies) ?? [])]
        return {
          name: nameOf(button),
          isInDialog: dialog !== null,
          commands: found.map((copy) => nameOf(copy).replace(/^.*?Copy the command: /, '')),
        }
      })
  })

/** Counts one check: each action of what is shown has its command, and nothing is there that nobody has thought about. */
export const checkCommands = async (page: Page, what: string): Promise<void> => {
  const buttons = await buttonsOf(page)
  const lacking = buttons.filter(({ name, isInDialog, commands }) => {
    for (const [button, command] of isInDialog ? confirmations : actions) {
      const match = new RegExp(`^(?:${button})$`).exec(name)
      if (!match) continue
      const wanted = new RegExp(`^holdfast ${command.replace('$1', match[1] ?? '')}`)
      return !commands.some((text) => wanted.test(text))
    }
    return !without.test(name)
  })
  check(`every action has its command: ${what}`, buttons.length > 0 && lacking.length === 0, lacking)
}
