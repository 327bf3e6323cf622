/** The page: who is signed in sees the views, everybody else the form to sign in. */
import { Redirect, Route, Router, Switch } from 'wouter-preact'
import { hashLocation, hashSearch } from './router.ts'
import { session } from './session.ts'
import { Shell } from './shell.tsx'
import { Namespace } from './views/admin/namespace.tsx'
import { Administration } from './views/administration.tsx'
import { ArtifactView } from './views/artifact.tsx'
import { Artifacts } from './views/artifacts.tsx'
import { NotFound } from './views/not-found.tsx'
import { Overview } from './views/overview.tsx'
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
          <Route path="/overview" component={Overview} />
          <Route path="/administration" component={Administration} />
          <Route path="/administration/:name">
            {({ name }) => <Namespace key={name} name={decodeURIComponent(name)} />}
          </Route>
          <Route component={NotFound} />
        </Switch>
      </Shell>
    )}
  </Router>
)
