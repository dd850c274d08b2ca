/** The header: which object is shown, and which side of it. */
import type { AppDescription } from 'dotdo/client'
import { hrefOf, type Route, type Tab } from '../route.ts'
import { Logo } from './parts.tsx'

const tabs: { tab: Tab; label: string }[] = [
  { tab: 'fleet', label: 'Fleet' },
  { tab: 'runs', label: 'Runs' },
  { tab: 'schedules', label: 'Schedules' },
  { tab: 'query', label: 'Query' },
  { tab: 'tables', label: 'Tables' },
]

interface ObjectName {
  noun: string
  name: string
}

/** The object picker and the tabs; before the app has answered, only the tabs that need no object. */
export function Header({ app, route }: { app: AppDescription | undefined; route: Route }) {
  const known: ObjectName[] = app ? Object.entries(app.singletons).flatMap(([noun, names]) => names.map((name) => ({ noun, name }))) : []
  const here = 'noun' in route ? { noun: route.noun, name: route.name } : remembered
  if ('noun' in route) remembered = here
  // An object that was opened by its address is offered beside the ones that the app tells of.
  const objects = here && !known.some((object) => same(object, here)) ? [...known, here] : known
  const shown = here ?? objects[0]
  const pick = (value: string) => {
    const object = objects.find((object) => keyOf(object) === value)
    if (object) location.hash = hrefOf({ tab: route.tab === 'schedules' || route.tab === 'query' ? route.tab : 'runs', ...object })
  }
  return (
    <header class="top">
      <a class="brand" href="#/" aria-label="dotdo: home">
        <Logo /> <span>dotdo</span>
      </a>
      {shown && (
        <label class="picker">
          <span class="hidden">Object</span>
          <select value={keyOf(shown)} onChange={(event) => pick(event.currentTarget.value)}>
            {objects.map((object) => (
              <option key={keyOf(object)} value={keyOf(object)}>
                {keyOf(object)}
              </option>
            ))}
          </select>
        </label>
      )}
      <nav aria-label="Sections">
        {tabs.map(({ tab, label }) => {
          const ofApp = tab === 'tables' || tab === 'fleet'
          if (!ofApp && !shown) return null
          const href = tab === 'tables' ? hrefOf({ tab }) : tab === 'fleet' ? hrefOf({ tab, list: 'runs' }) : hrefOf({ tab, ...shown! })
          return (
            <a key={tab} href={href} aria-current={route.tab === tab ? 'page' : undefined}>
              {label}
            </a>
          )
        })}
      </nav>
    </header>
  )
}

/** The object that was shown last: the tables belong to none, and the way back leads to it. */
let remembered: ObjectName | undefined

const keyOf = ({ noun, name }: ObjectName) => `${noun}/${name}`
const same = (a: ObjectName, b: ObjectName) => a.noun === b.noun && a.name === b.name
