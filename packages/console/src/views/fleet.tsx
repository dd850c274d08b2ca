/** All objects together: numbers, and lists of what ran, what comes, what is wrong and what nobody took. */
import type { ComponentChildren } from 'preact'
import { useEffect, useRef, useState } from 'preact/hooks'
import type { FleetSummary } from 'dotdo/client'
import { formatCount } from 'dotdo/words'
import type { Api, Ask } from '../api.ts'
import { askOf, changed, formatFilter, type FleetFilter, type FleetList } from '../fleet-filter.ts'
import { useAction } from '../hooks.ts'
import { hrefOf } from '../route.ts'
import { Filters } from './fleet-filters.tsx'
import { AlertRow, LetterRow, RunRow, ScheduleRow } from './fleet-rows.tsx'
import { Empty, ErrorBox } from './parts.tsx'

/** How often the index is asked again while the page is looked at. It tells nobody by itself: that would keep it awake. */
const askEveryMs = 10_000
const pageSize = 50

/** Each list with its words, the states that it can be narrowed to, and its rows. */
const lists = {
  runs: {
    label: 'Runs',
    columns: ['Status', 'What', 'Started, took'],
    states: ['running', 'failed', 'held', 'done', 'cancelled'],
    read: (api: Api, ask: Ask) => api.fleet.runs(ask),
  },
  schedules: {
    label: 'Schedules',
    columns: ['Last run', 'What', 'Next'],
    states: ['late', 'failing', 'paused'],
    read: (api: Api, ask: Ask) => api.fleet.schedules(ask),
  },
  alerts: {
    label: 'Alerts',
    columns: ['Kind', 'Of what, and why', 'Since'],
    states: ['open', 'closed'],
    read: (api: Api, ask: Ask) => api.fleet.alerts(ask),
  },
  letters: {
    label: 'Dead letters',
    columns: ['', 'Event, and why nobody took it', 'Died'],
    states: [],
    read: (api: Api, ask: Ask) => api.fleet.letters(ask),
  },
} as const

type Item = Awaited<ReturnType<(typeof lists)[FleetList]['read']>>['items'][number]

/** One list of the fleet, with its numbers above. */
export function FleetView({ api, list, filter }: { api: Api; list: FleetList; filter: FleetFilter }) {
  const { label, columns, states, read } = lists[list]
  const [nouns, setNouns] = useState<string[]>([])
  const [summary, setSummary] = useState<FleetSummary>()
  const [items, setItems] = useState<Item[]>()
  const [next, setNext] = useState<string>()
  const [error, setError] = useState<unknown>()
  const older = useAction()
  const words = formatFilter(list, filter)
  const askNow = (): Ask => ({ limit: pageSize, ...askOf(filter, Date.now()) })
  const [wish, setWish] = useState(0)
  const refresh = () => setWish((before) => before + 1)
  // Whoever has gone further back keeps that: only the first page is read anew, and no answer that was under way takes it back.
  const isFurther = useRef(false)

  useEffect(() => void api.describe().then(({ nouns }) => setNouns(nouns), setError), [api])
  useEffect(() => {
    let gone = false
    isFurther.current = false
    const look = async () => {
      try {
        const [page, numbers] = await Promise.all([read(api, askNow()), api.fleet.summary()])
        if (gone) return
        setSummary(numbers)
        setError(undefined)
        if (isFurther.current) return
        setItems(page.items)
        setNext(page.next)
      } catch (failure) {
        if (!gone) setError(failure)
      }
    }
    void look()
    const timer = setInterval(() => document.visibilityState === 'visible' && !isFurther.current && void look(), askEveryMs)
    return () => {
      gone = true
      clearInterval(timer)
    }
  }, [api, list, words, wish])

  const more = async () => {
    const page = await read(api, { ...askNow(), after: next! })
    isFurther.current = true
    setItems([...(items ?? []), ...page.items])
    setNext(page.next)
  }
  return (
    <>
      <div class="heading">
        <h1>Fleet</h1>
        <button onClick={refresh}>Read again</button>
      </div>
      {summary && <Numbers summary={summary} />}
      <nav class="lists" aria-label="Lists of the fleet">
        {(Object.keys(lists) as FleetList[]).map((name) => (
          <a
            key={name}
            href={hrefOf({ tab: 'fleet', list: name, filter: changed({}, { noun: filter.noun }) })}
            aria-current={name === list ? 'page' : undefined}
          >
            {lists[name].label}
          </a>
        ))}
      </nav>
      <Filters list={list} filter={filter} states={states} nouns={nouns} />
      {error !== undefined && (
        <ErrorBox
          title={items ? 'What is shown may be old: it could not be read again' : 'The fleet could not be read'}
          error={error}
          onRetry={refresh}
        />
      )}
      {!items && error === undefined && <p class="note">Reading…</p>}
      {items?.length === 0 && (
        <Empty title={`No ${label.toLowerCase()}${words === '' ? '' : ' like that'}`}>
          {words === '' ? emptyWords[list] : 'The list is narrowed by what is chosen above.'}
        </Empty>
      )}
      {items && items.length > 0 && (
        <>
          <div class={`fleet-row columns ${list === 'alerts' ? 'bare' : ''}`} aria-hidden="true">
            {columns.map((column) => (
              <span key={column}>{column}</span>
            ))}
          </div>
          <ul class="rows" aria-label={label}>
            {items.map((item) => (
              <FleetRow key={keyOf(list, item)} api={api} list={list} item={item} onChange={refresh} />
            ))}
          </ul>
        </>
      )}
      {older.error !== undefined && <ErrorBox title="More could not be read" error={older.error} />}
      {next !== undefined && (
        <p>
          <button disabled={older.busy !== undefined} onClick={() => older.run('more', more)}>
            Show more
          </button>
        </p>
      )}
    </>
  )
}

/** The list says which kind of entry it has. */
function FleetRow({ api, list, item, onChange }: { api: Api; list: FleetList; item: Item; onChange: () => void }) {
  if (list === 'runs' && 'run' in item) return <RunRow api={api} item={item} onChange={onChange} />
  if (list === 'schedules' && 'schedule' in item) return <ScheduleRow api={api} item={item} onChange={onChange} />
  if (list === 'alerts' && 'alertId' in item) return <AlertRow item={item} />
  return 'letter' in item ? <LetterRow api={api} item={item} onChange={onChange} /> : null
}

function keyOf(list: FleetList, item: Item): string {
  if ('run' in item) return `${list} ${item.object} ${item.run.runId}`
  if ('schedule' in item) return `${list} ${item.object} ${item.schedule.scheduleId}`
  return 'letter' in item ? `${list} ${item.object} ${item.letter.id}` : `${list} ${item.object} ${item.alertId}`
}

const emptyWords: Record<FleetList, ComponentChildren> = {
  runs: 'Objects tell of their runs within half a second. None has, that would be shown here.',
  schedules: (
    <>
      An object declares them in <code>init()</code>: <code>this.every.day.at('2am')(() =&gt; …)</code>.
    </>
  ),
  alerts: 'What fails, and what is not done by its deadline, stands here until it is well again.',
  letters: 'Every event was taken by its handlers.',
}

/** The whole in numbers. Those that want somebody are marked by a sign and not by colour alone. */
function Numbers({ summary }: { summary: FleetSummary }) {
  const { objects, running, held, failed, schedules, late, letters, alerts } = summary
  // Each leads to the entries that it counts.
  const figures: [label: string, value: number, list: FleetList, filter: FleetFilter, isWrong: boolean][] = [
    ['running', running, 'runs', { state: 'running' }, false],
    ['failed today', failed, 'runs', { state: 'failed', since: '1d' }, failed > 0],
    ['held', held, 'runs', { state: 'held' }, held > 0],
    ['schedules', schedules, 'schedules', {}, false],
    ['late', late, 'schedules', { state: 'late' }, late > 0],
    ['open alerts', alerts, 'alerts', { state: 'open' }, alerts > 0],
    ['dead letters', letters, 'letters', {}, letters > 0],
  ]
  return (
    <ul class="figures" aria-label={`${formatCount(objects)} objects`}>
      <li>
        <b class="num">{formatCount(objects)}</b> <span>objects</span>
      </li>
      {figures.map(([label, value, list, filter, isWrong]) => (
        <li key={label} class={isWrong ? 'wrong' : undefined}>
          <a href={hrefOf({ tab: 'fleet', list, filter })}>
            <b class="num">
              {isWrong && <span aria-hidden="true">! </span>}
              {formatCount(value)}
            </b>{' '}
            <span>{label}</span>
          </a>
        </li>
      ))}
    </ul>
  )
}
