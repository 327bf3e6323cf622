import { isHoldfastError } from '@holdfast/client/browser'
import { useEffect, useRef, useState } from 'preact/hooks'
import { commands } from '../commands.ts'
import { useAction } from '../load.ts'
import { Command } from '../parts/copy-button.tsx'
import { Problem } from '../parts/problem.tsx'
import { signIn, signInNotice, storeUrl } from '../session.ts'

const adviceFor = (error: unknown): string | undefined => {
  if (isHoldfastError(error, 'wrong_key') || isHoldfastError(error, 'namespace_not_found'))
    return 'Namespace and key do not go together. Check both; keys are case-sensitive.'
  return undefined
}

export const SignIn = () => {
  const [namespace, setNamespace] = useState('')
  const [key, setKey] = useState('')
  const [mayRemember, setMayRemember] = useState(false)
  const first = useRef<HTMLInputElement>(null)
  const attempt = useAction(signIn)
  useEffect(() => {
    document.title = 'Sign in · Holdfast'
    first.current?.focus()
  }, [])
  const onSubmit = (event: Event) => {
    event.preventDefault()
    void attempt.run(namespace.trim(), key, mayRemember)
  }
  return (
    <main class="sign-in" id="main">
      <h1>Holdfast</h1>
      <p class="minor">
        Files at <code>{storeUrl}</code>
      </p>
      <form onSubmit={onSubmit}>
        {signInNotice.value && (
          <p class="notice" role="status">
            {signInNotice.value}
          </p>
        )}
        <label>
          Namespace
          <input
            ref={first}
            value={namespace}
            onInput={(event) => setNamespace(event.currentTarget.value)}
            autocomplete="username"
            autocapitalize="none"
            spellcheck={false}
            required
          />
        </label>
        <label>
          Key
          <input
            type="password"
            value={key}
            onInput={(event) => setKey(event.currentTarget.value)}
            autocomplete="current-password"
            required
          />
        </label>
        <label>
          <input
            type="checkbox"
            checked={mayRemember}
            onChange={(event) => setMayRemember(event.currentTarget.checked)}
          />
          Stay signed in when this tab is reloaded
        </label>
        <p class="minor">
          Otherwise nothing is kept outside this tab's memory. Either way the key itself is never stored.
        </p>
        <Problem error={attempt.error} advice={adviceFor(attempt.error)} />
        <button type="submit" aria-busy={attempt.isBusy}>
          Sign in
        </button>
      </form>
      <p class="minor">On the command line:</p>
      <Command text={commands.login(storeUrl, namespace.trim())} />
    </main>
  )
}
