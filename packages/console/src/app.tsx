/** The frame of the page: the way in, then the header with the objects and tabs, and the view that the address names. */
import { useEffect, useMemo, useRef, useState } from 'preact/hooks'
import type { AppDescription } from 'dotdo/client'
import { openApi, type Api } from './api.ts'
import { useRoute } from './hooks.ts'
import { hrefOf, type Route } from './route.ts'
import { forgetSession, openSession, storedSession, takeOneTimeToken, thisBrowser, type NoSession, type Session } from './session.ts'
import { Entry } from './views/entry.tsx'
import { Header } from './views/header.tsx'
import { ObjectView } from './views/object.tsx'
import { SnapshotView } from './views/snapshot.tsx'
import { FleetView } from './views/fleet.tsx'
import { Empty, ErrorBox } from './views/parts.tsx'
import { TablesView } from './views/tables.tsx'

/** The page with or without a session. */
export function App() {
  const [session, setSession] = useState<Session | NoSession | 'opening'>('opening')
  const pending = useRef<string | undefined>(undefined)

  const enter = async () => {
    const token = pending.current
    if (token === undefined) return
    setSession('opening')
    const opened = await openSession(thisBrowser, token)
    // A link that could not be tried is kept for another try; any other answer has used it up.
    if (opened !== 'unreachable') pending.current = undefined
    setSession(opened)
  }
  const look = () => {
    const token = takeOneTimeToken(thisBrowser)
    if (token === undefined) return false
    pending.current = token
    void enter()
    return true
  }
  useEffect(() => {
    if (!look()) setSession(storedSession(thisBrowser))
    // A second link that is opened in this tab changes only the fragment.
    addEventListener('hashchange', look)
    return () => removeEventListener('hashchange', look)
  }, [])

  if (session === 'opening') return <Opening />
  if (typeof session === 'string') return <Entry reason={session} onRetry={() => void enter()} />
  const end = () => {
    forgetSession(thisBrowser)
    setSession('ended')
  }
  return <Console key={session.token} token={session.token} onEnd={end} />
}

function Opening() {
  return (
    <main class="entry">
      <p role="status">Opening…</p>
    </main>
  )
}

/** Everything that a session shows. */
function Console({ token, onEnd }: { token: string; onEnd: () => void }) {
  const api = useMemo(() => openApi(location.origin, token, onEnd), [token])
  useEffect(() => () => api.close(), [api])
  const [app, setApp] = useState<AppDescription>()
  const [error, setError] = useState<unknown>()
  const load = () => {
    setError(undefined)
    void api.describe().then(setApp, setError)
  }
  useEffect(load, [api])

  const route = useRoute()
  const home = app && firstObject(app)
  useEffect(() => {
    // The first object is where somebody without a place of their own begins.
    if (route.tab === 'home' && home) location.replace(hrefOf({ tab: 'runs', ...home }))
  }, [route.tab, home])
  useTitle(route)

  const main = useRef<HTMLElement>(null)
  // A list that is narrowed further is the same place: whoever does that goes on in the field.
  const place = hrefOf(route.tab === 'fleet' ? { tab: 'fleet', list: route.list } : route)
  const came = useRef(false)
  useEffect(() => {
    // A new place is read from its beginning, by eye and by screen reader.
    if (came.current && route.tab !== 'home') {
      main.current?.focus({ preventScroll: true })
      scrollTo(0, 0)
    }
    if (route.tab !== 'home') came.current = true
  }, [place])

  return (
    <>
      <a class="skip" href="#main" onClick={(event) => (event.preventDefault(), main.current?.focus())}>
        Skip to the content
      </a>
      <Header app={app} route={route} />
      <main id="main" ref={main} tabIndex={-1}>
        {error !== undefined && <ErrorBox title="The app did not answer" error={error} onRetry={load} />}
        {app && !home && route.tab === 'home' && (
          <Empty title="No objects to show">
            Objects that live without being called are listed here. Name one in{' '}
            <code>
              serve({'{'} singletons: {'{'} Pipeline: ['main'] {'}'} {'}'})
            </code>
            , open one by its address: <code>#/Noun/name</code>, or look at <a href="#/fleet/runs">all that have run</a>.
          </Empty>
        )}
        <View api={api} route={route} />
      </main>
    </>
  )
}

function View({ api, route }: { api: Api; route: Route }) {
  if (route.tab === 'home') return null
  if (route.tab === 'tables') return route.of ? <SnapshotView key={hrefOf(route)} api={api} of={route.of} /> : <TablesView api={api} />
  if (route.tab === 'fleet') return <FleetView key={route.list} api={api} list={route.list} filter={route.filter ?? {}} />
  return <ObjectView key={`${route.noun}/${route.name}`} api={api} route={route} />
}

function firstObject(app: AppDescription): { noun: string; name: string } | undefined {
  for (const [noun, [name]] of Object.entries(app.singletons)) if (name !== undefined) return { noun, name }
  return undefined
}

function useTitle(route: Route): void {
  const title =
    route.tab === 'home'
      ? 'dotdo'
      : route.tab === 'tables'
        ? `${route.of?.table ?? 'Tables'} · dotdo`
        : route.tab === 'fleet'
          ? `Fleet ${route.list} · dotdo`
          : `${route.noun}/${route.name} ${route.tab} · dotdo`
  useEffect(() => void (document.title = title), [title])
}
