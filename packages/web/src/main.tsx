import '@picocss/pico/css/pico.min.css'
import './styles/page.css'
import './styles/tables.css'
import './styles/parts.css'
import './styles/transfers.css'
import { render } from 'preact'
import { App } from './app.tsx'
import { restoreSession } from './session.ts'

restoreSession()
render(<App />, document.getElementById('page')!)
