/** What axe finds: a library that looks for what keeps people with a screen reader, a keyboard or weak eyes from using a page. */
import { createRequire } from 'node:module'
import type { ElementHandle, JSHandle, Page } from 'playwright-core'
import { atRest, check } from './stage.ts'

const axePath = createRequire(import.meta.url).resolve('axe-core/axe.min.js')

/** Lets axe into a page from its next load on, by the browser's own tools: the page's policy allows no foreign script. */
export const admitAxe = (page: Page): Promise<unknown> => page.addInitScript({ path: axePath })

interface Finding {
  readonly id: string
  readonly impact: string
  readonly nodes: readonly string[]
}

/** Serious and critical findings in all of the page, or in the colours of one control. */
const findings = async (page: Page, control?: ElementHandle<Element>): Promise<Finding[]> =>
  await page.evaluate(async (element) => {
    // biome-ignore lint/suspicious/noExplicitAny: axe is there only in this page
    const { axe } = window as any
    const { violations } = await (element ? axe.run(element, { runOnly: ['color-contrast'] }) : axe.run())
    type Node = { html: string; failureSummary: string }
    return violations
      .filter(({ impact }: { impact: string }) => impact === 'serious' || impact === 'critical')
      .map(({ id, impact, nodes }: { id: string; impact: string; nodes: Node[] }) => ({
        id,
        impact,
        nodes: nodes.slice(0, 3).map((node) => `${node.html.slice(0, 200)} ${node.failureSummary}`),
      }))
  }, control)

/** The first of each kind of button and link, by the kind's name. */
const controlsOf = (page: Page): Promise<JSHandle<Record<string, Element>>> =>
  page.evaluateHandle(() => {
    const kinds: Record<string, Element> = {}
    const scope = document.querySelector('dialog[open]') ?? document
    for (const control of scope.querySelectorAll('a, button:enabled, summary')) {
      const around = control.closest('dialog, nav, .problem')?.nodeName ?? 'page'
      if (control.checkVisibility())
        kinds[`${control.nodeName} ${control.className} in ${around}`] ??= control
    }
    return kinds
  })

/** The colours of each kind of button and link that is not in `looked`, while it has the focus and while it is pointed at. */
export const controlFindings = async (page: Page, looked: Set<string>): Promise<Finding[]> => {
  const found: Finding[] = []
  for (const [kind, handle] of await (await controlsOf(page)).getProperties()) {
    if (looked.has(kind)) continue
    looked.add(kind)
    const control = handle.asElement()! as ElementHandle<Element>
    await control.focus()
    found.push(...(await findings(page, control)))
    await control.hover()
    found.push(...(await findings(page, control)))
  }
  await page.mouse.move(0, 0)
  return found
}

/** Counts one check: nothing serious in what the page shows when it has come to rest. */
export const checkByAxe = async (page: Page, what: string): Promise<void> => {
  await atRest(page)
  const found = await findings(page)
  check(`axe finds nothing serious: ${what}`, found.length === 0, found)
}
