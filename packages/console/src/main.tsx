/** The page: starts the app in the document. */
import { render } from 'preact'
import { App } from './app.tsx'
import './style.css'
import './views/fleet.css'
import './views/lineage.css'
import './views/query.css'
import './views/views.css'

render(<App />, document.getElementById('app')!)
