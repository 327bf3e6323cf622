import '@picocss/pico/css/pico.min.css'
import './style.css'
import { render } from 'preact'
import { App } from './app.tsx'
import { restoreSession } from './session.ts'

restoreSession()
render(<App />, document.getElementById('page')!)
