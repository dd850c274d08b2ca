/** The query box: SQL in, a table and a chart out. */
import { useEffect, useRef, useState } from 'preact/hooks'
import type { ObjectDescription } from 'dotdo/client'
import { formatMs } from 'dotdo/words'
import { columnsOf, type Row } from '../chart.ts'

import type { LiveObject } from '../hooks.ts'
import type { ObjectRoute } from '../route.ts'
import { Empty, ErrorBox } from './parts.tsx'
import { ChartView } from './chart.tsx'
import { ResultTable } from './result-table.tsx'

type Outcome = { state: 'none' } | { state: 'asking' } | { state: 'rows'; rows: Row[]; tookMs: number } | { state: 'error'; error: unknown }

/** Asks the object's own `query(sql)`; says so where the object has none. */
export function QueryView({ live, route }: { live: LiveObject; route: ObjectRoute }) {
  const [description, setDescription] = useState<ObjectDescription>()
  const [error, setError] = useState<unknown>()
  const load = () => {
    setError(undefined)
    void live.api.describe().then(setDescription, setError)
  }
  useEffect(load, [])
  return (
    <>
      <div class="heading">
        <h1>Query</h1>
      </div>
      {error !== undefined && <ErrorBox title="What the object offers could not be read" error={error} onRetry={load} />}
      {description && !description.methods.includes('query') && (
        <Empty title={`${route.noun}/${route.name} takes no queries`}>
          An object with a method <code>query(sql)</code> that answers rows can be asked here.
        </Empty>
      )}
      {description?.methods.includes('query') && <QueryBox live={live} description={description} />}
    </>
  )
}

function QueryBox({ live, description }: { live: LiveObject; description: ObjectDescription }) {
  const kept = `dotdo.query ${description.noun}/${description.name}`
  const [sql, setSql] = useState(() => sessionStorage.getItem(kept) ?? '')
  const [outcome, setOutcome] = useState<Outcome>({ state: 'none' })
  const examples = useExamples(live, description)
  // An answer that was overtaken by a later question is not shown.
  const asked = useRef(0)
  const box = useRef<HTMLTextAreaElement>(null)

  const ask = async (text: string) => {
    if (text.trim() === '') return box.current?.focus()
    const mine = ++asked.current
    sessionStorage.setItem(kept, text)
    setOutcome({ state: 'asking' })
    const started = performance.now()
    const answer = await live.api.query(text).then(
      (rows): Outcome =>
        Array.isArray(rows)
          ? { state: 'rows', rows, tookMs: performance.now() - started }
          : { state: 'error', error: new TypeError('query(sql) answered with something that is no list of rows') },
      (error: unknown): Outcome => ({ state: 'error', error }),
    )
    if (mine === asked.current) setOutcome(answer)
  }
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key !== 'Enter' || !(event.ctrlKey || event.metaKey)) return
    event.preventDefault()
    void ask(sql)
  }
  return (
    <>
      <form class="query" onSubmit={(event) => (event.preventDefault(), void ask(sql))}>
        <label for="sql">SQL</label>
        <textarea
          id="sql"
          ref={box}
          rows={Math.min(14, Math.max(4, sql.split('\n').length + 1))}
          spellcheck={false}
          autocapitalize="off"
          autocomplete="off"
          placeholder="SELECT some_column, COUNT(*) AS n FROM some_table GROUP BY some_column ORDER BY n DESC LIMIT 20"
          value={sql}
          onInput={(event) => setSql(event.currentTarget.value)}
          onKeyDown={onKeyDown}
        />
        <div class="inline">
          <button class="primary" type="submit" disabled={outcome.state === 'asking'}>
            {outcome.state === 'asking' ? 'Asking…' : 'Run query'}
          </button>
          <span class="note wide-only">Ctrl or ⌘ with Enter</span>
          {examples.map((example) => (
            <button key={example} type="button" class="plain clip" title={example} onClick={() => (setSql(example), void ask(example))}>
              {example}
            </button>
          ))}
        </div>
      </form>
      <div aria-live="polite">{outcome.state === 'error' && <ErrorBox error={outcome.error} />}</div>
      {outcome.state === 'rows' && <Answer rows={outcome.rows} tookMs={outcome.tookMs} />}
    </>
  )
}

function Answer({ rows, tookMs }: { rows: Row[]; tookMs: number }) {
  const time = formatMs(tookMs)
  if (rows.length === 0) return <Empty title="No rows">The query is right, and nothing matches it ({time}).</Empty>
  const columns = columnsOf(rows)
  return (
    <>
      <ChartView rows={rows} columns={columns} />
      <ResultTable rows={rows} columns={columns} time={time} />
    </>
  )
}

/** Queries that the object itself proposes, by a method or getter `exampleQueries` that gives texts. */
function useExamples(live: LiveObject, { methods, getters }: ObjectDescription): string[] {
  const [examples, setExamples] = useState<string[]>([])
  const isGetter = getters.includes('exampleQueries')
  const offers = isGetter || methods.includes('exampleQueries')
  useEffect(() => {
    if (!offers) return
    void live.api.exampleQueries(isGetter).then(
      (given) => setExamples(Array.isArray(given) ? given.filter((example) => typeof example === 'string').slice(0, 5) : []),
      // Examples are an extra: without them the box works as well.
      () => setExamples([]),
    )
  }, [offers, isGetter])
  return examples
}
