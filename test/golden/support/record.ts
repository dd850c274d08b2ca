/** What the golden state is made of, how it is looked at, and how a copy of it is opened. */
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { fileURLToPath } from 'node:url'
import type { AnyApp, AppStub, DeadLetter, EventView, InspectorStub, RunView, ScheduleView } from 'dotdo/client'

/** `test/golden`: a folder for each release that has left its state here. */
export const golden = fileURLToPath(new URL('..', import.meta.url))
export const config = join(golden, 'app', 'wrangler.toml')

/** What was true of the state when it was taken. */
export interface Expected {
  recordedAt: number
  runs: unknown[]
  schedules: Pick<ScheduleView, 'scheduleId' | 'pattern' | 'timeZone' | 'paused' | 'lastRunId'>[]
  events: EventView[]
  deadLetters: DeadLetter[]
  table: unknown
  byOrigin: unknown[]
  /** The run that waits at the gate. */
  heldRunId: string
}

/** The inspector of the pipeline. */
export const inspect = (app: AppStub<AnyApp>): InspectorStub => app.dotdo.object('Pipeline', 'main')

export const byOrigin = 'SELECT origin, COUNT(*) AS flights, SUM(delay) AS delay FROM flights GROUP BY origin ORDER BY origin'

/** The first 500 real flights as the objects of a lake, spread over three days, and the airports that they need. */
export function lake(): Record<string, string> {
  const data = join(dirname(createRequire(import.meta.url).resolve('vega-datasets')), '..', 'data')
  const flights = (JSON.parse(readFileSync(join(data, 'flights-20k.json'), 'utf8')) as Record<string, string>[]).slice(0, 500)
  const objects: Record<string, string> = {}
  const used = new Set<string | undefined>(['iata'])
  for (const [index, flight] of flights.entries()) {
    const day = `2001-01-0${1 + Math.floor(index / 200)}`
    const date = `${day}T${flight['date']!.slice(11)}:00`
    objects[`flights/${day}.ndjson`] = (objects[`flights/${day}.ndjson`] ?? '') + JSON.stringify({ ...flight, date }) + '\n'
    used.add(flight['origin']).add(flight['destination'])
  }
  const airports = readFileSync(join(data, 'airports.csv'), 'utf8').split('\n')
  // One airport is left out, so that a state is NULL.
  used.delete('LAS')
  objects['airports/airports.csv'] = airports.filter((line) => used.has(line.split(',')[0])).join('\n')
  return objects
}

/** Reads everything that is held against the record. Times of columns are given back as they were before {@link shiftTimes}. */
export async function observe(app: AppStub<AnyApp>, shiftMs: number): Promise<Omit<Expected, 'recordedAt' | 'heldRunId'>> {
  const inspector = inspect(app)
  const listed = await inspector.runs({ limit: 100 })
  const runs: RunView[] = []
  for (const { runId } of listed) runs.push(await inspector.run(runId))
  const plain = <T>(value: T): T => JSON.parse(JSON.stringify(value, (key, it: unknown) => unshifted(key, it, shiftMs))) as T
  return {
    runs: plain(runs),
    schedules: (await inspector.schedules()).map(({ scheduleId, pattern, timeZone, paused, lastRunId }) =>
      plain({ scheduleId, pattern, timeZone, paused, ...(lastRunId !== undefined && { lastRunId }) }),
    ),
    events: plain(await inspector.events()),
    deadLetters: plain(await inspector.deadLetters()),
    table: plain((await app.Pipeline!('main').table()) as unknown),
    byOrigin: (await app.Pipeline!('main').query(byOrigin)) as unknown[],
  }
}

function unshifted(key: string, value: unknown, shiftMs: number): unknown {
  // Instants that stand in columns; others (a target's, the table's) are part of stored texts and files, and stay.
  return typeof value === 'number' && /^(started|ended|sent|died)At$/.test(key) ? value - shiftMs : value
}

/** The parts of a state folder that are an app's own: its objects and its bucket. */
const parts = ['v3/do', 'v3/r2']

/** Copies what an app has stored, with each database in one file. The app must have been stopped. */
export function copyState(from: string, to: string): void {
  for (const part of parts) {
    rmSync(join(to, part), { recursive: true, force: true })
    mkdirSync(join(to, part), { recursive: true })
    cpSync(join(from, part), join(to, part), { recursive: true })
  }
  for (const path of databases(to)) {
    const db = new DatabaseSync(path)
    // Out of the write-ahead log, and in small pages: every table takes one, and most are nearly empty.
    db.exec('PRAGMA wal_checkpoint(TRUNCATE); PRAGMA journal_mode = DELETE; PRAGMA page_size = 1024; VACUUM')
    db.close()
  }
}

/**
 * Moves the stored times of a copy, as if it had been written just now: what is kept has an end, and a state of last year would be
 * pruned before anybody looks. Schedules move by whole days, so that their next instants keep their time and lie ahead.
 */
export function shiftTimes(state: string, shiftMs: number): void {
  const dayMs = 86_400_000
  for (const path of databases(state)) {
    const db = new DatabaseSync(path)
    const columns = db
      .prepare(
        `SELECT t.name AS "table", c.name AS "column" FROM sqlite_schema t, pragma_table_info(t.name) c WHERE t.type = 'table' AND t.name LIKE 'dotdo\\_%' ESCAPE '\\' AND c.type = 'INTEGER'`,
      )
      .all() as { table: string; column: string }[]
    for (const { table, column } of columns) {
      const ms = table === 'dotdo_schedules' ? Math.ceil(shiftMs / dayMs) * dayMs : shiftMs
      // Epoch milliseconds between 2017 and 2065: no count or id of a small state comes near.
      db.exec(`UPDATE "${table}" SET "${column}" = "${column}" + ${ms} WHERE "${column}" BETWEEN 1500000000000 AND 3000000000000`)
    }
    db.close()
  }
}

function databases(folder: string): string[] {
  if (!existsSync(folder)) return []
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.sqlite'))
    .map((name) => join(folder, name))
}
