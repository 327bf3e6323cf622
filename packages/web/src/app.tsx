/** The page: who is signed in sees the views, everybody else the form to sign in. */
import { Redirect, Route, Router, Switch } from 'wouter-preact'
import { hashLocation, hashSearch } from './router.ts'
import { session } from './session.ts'
import { Shell } from './shell.tsx'
import { ArtifactView } from './views/artifact.tsx'
import { Artifacts } from './views/artifacts.tsx'
import { NotFound } from './views/not-found.tsx'
import { SignIn } from './views/sign-in.tsx'
import { Uploads } from './views/uploads.tsx'

export const App = () => (
  <Router hook={hashLocation} searchHook={hashSearch}>
    {session.value === undefined ? (
      <SignIn />
    ) : (
      <Shell key={session.value.namespace}>
        <Switch>
          <Route path="/">
            <Redirect to="/artifacts" replace />
          </Route>
          <Route path="/artifacts" component={Artifacts} />
          <Route path="/artifacts/:uuid">{({ uuid }) => <ArtifactView key={uuid} uuid={uuid} />}</Route>
          <Route path="/uploads" component={Uploads} />
          <Route component={NotFound} />
        </Switch>
      </Shell>
    )}
  </Router>
)
