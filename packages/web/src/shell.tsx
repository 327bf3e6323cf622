/** What stands around every view: the name, the ways, who is signed in, and what is being transferred. */
import type { ComponentChildren } from 'preact'
import { Link, useRoute } from 'wouter-preact'
import { DownloadTray } from './downloads/tray.tsx'
import { signOut, trouble, useSession } from './session.ts'
import { runningUploads, stopUploads } from './uploads/queue.ts'

const NavLink = ({ to, children }: { to: string; children: ComponentChildren }) => {
  const [isHere] = useRoute(`${to}/*?`)
  return (
    <li>
      <Link href={to} aria-current={isHere ? 'page' : undefined}>
        {children}
      </Link>
    </li>
  )
}

const skipToMain = () => document.querySelector<HTMLElement>('main h1')?.focus()

export const Shell = ({ children }: { children: ComponentChildren }) => {
  const { namespace, isSystem } = useSession()
  const leave = () => {
    stopUploads()
    signOut()
  }
  return (
    <>
      <button type="button" class="skip" onClick={skipToMain}>
        To the content
      </button>
      <header class="shell">
        <strong class="brand">
          <img src="./icon.svg" alt="" width={20} height={20} /> Holdfast
        </strong>
        <nav aria-label="Main">
          <ul>
            <NavLink to="/artifacts">Artifacts</NavLink>
            <NavLink to="/uploads">
              Upload
              {runningUploads.value > 0 && (
                <span class="bubble" title="uploads under way">
                  {runningUploads.value}
                </span>
              )}
            </NavLink>
            <NavLink to="/overview">Overview</NavLink>
            <NavLink to="/administration">{isSystem ? 'Administration' : 'Access'}</NavLink>
          </ul>
        </nav>
        <p class="account">
          <span class="minor">signed in to</span> <strong>{namespace}</strong>
          <button type="button" class="small quiet" onClick={leave}>
            Sign out
          </button>
        </p>
      </header>
      <main id="main">
        <p class="trouble" role="status">
          {trouble.value}
        </p>
        {children}
      </main>
      <DownloadTray />
    </>
  )
}
