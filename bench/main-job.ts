/**
 * The main job against DuckDB: 200,000 flights from NDJSON objects, joined with their airports, into Parquet by day.
 *
 * Ours is the template's pipeline in local workerd, from the trigger of its schedule to the end of its run, on a state that has the data
 * and nothing else; what it makes beyond the files (durable steps, an Iceberg snapshot a day) is in its time. The start of workerd is
 * not, so neither is that of DuckDB's process: the baseline is its SQL alone, on one thread, data and answer on the same disk.
 *
 * The two take turns, so that a busy machine is busy for both. Needs `npm run build`.
 */
import { execFileSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { LiveEvent } from 'dotdo/client'
import { flightCount, layOutData } from '../packages/create-dotdo/template/scripts/data.ts'
import { startDemo } from '../packages/create-dotdo/template/scripts/local.ts'
import type { BenchResult } from './run.ts'

const root = fileURLToPath(new URL('..', import.meta.url))
const rounds = Number(process.env['ROUNDS'] ?? 3)
const bar = 4

/** One measured run. */
interface Timing {
  ms: number
  /** Processor time of the process that did the work: it tells a slow program from a busy machine. `NaN` where there is no /proc. */
  cpuMs: number
}

export default async function* mainJob(): AsyncGenerator<BenchResult> {
  const folder = mkdtempSync(join(tmpdir(), 'dotdo-main-job-'))
  try {
    const lake = join(folder, 'lake')
    await layOutFiles(lake)
    // Laid out once: every round begins with a copy.
    const prepared = join(folder, 'prepared')
    await (await start(prepared)).stop()
    const ours: Timing[] = []
    const theirs: (Timing & { processMs: number })[] = []
    for (let round = 0; round < rounds; round++) {
      theirs.push(runDuckDb(lake, join(folder, `duckdb-${round}`)))
      const state = join(folder, `state-${round}`)
      cpSync(prepared, state, { recursive: true })
      ours.push(await runPipeline(state))
      rmSync(state, { recursive: true, force: true })
    }
    const cpu = (timings: Timing[]) => Math.min(...timings.map(({ cpuMs }) => cpuMs))
    console.error(`  processor time at best: ${cpu(ours).toFixed(0)} ms of workerd, ${cpu(theirs).toFixed(0)} ms of DuckDB`)
    console.error(`  DuckDB with the start of its process, at best: ${Math.min(...theirs.map(({ processMs }) => processMs)).toFixed(0)} ms`)
    const baseline = 'DuckDB, one thread, without its start'
    const compare = (of: (all: number[]) => number) => {
      const value = of(ours.map(({ ms }) => ms))
      const baselineValue = of(theirs.map(({ ms }) => ms))
      return { value, unit: 'ms', baseline, baselineValue, ratio: value / baselineValue }
    }
    const best = compare((all) => Math.min(...all))
    yield { name: `main job, best of ${rounds}`, ...best, bar: `at most ${bar}`, ok: best.ratio <= bar }
    // Told and not held: ours runs longer, so other work on the machine meets it more often than DuckDB.
    yield { name: `main job, median of ${rounds}`, ...compare(median), bar: 'none', ok: true }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** The same objects that the start script lays into the bucket, as files. */
async function layOutFiles(lake: string): Promise<void> {
  await layOutData({
    head: () => Promise.resolve(null),
    put: async (key, value) => {
      const path = join(lake, key)
      mkdirSync(dirname(path), { recursive: true })
      writeFileSync(path, value)
    },
  })
}

function start(stateFolder: string) {
  return startDemo({ configPath: process.env['CONFIG'] ?? join(root, 'wrangler.toml'), stateFolder, port: 0, clean: false })
}

/** One run of the schedule in a fresh workerd. @throws when it does not end as done, with all rows in the table */
async function runPipeline(state: string): Promise<Timing> {
  const local = await start(state)
  const { app } = local
  try {
    const pipeline = app.dotdo.object('Pipeline', 'main')
    // The object lives, and so does the subscription that tells of the end: both are the start's, not the job's.
    const watching = Promise.withResolvers<void>()
    const ended = Promise.withResolvers<string>()
    const subscription = app.watch('Pipeline', 'main', {
      refresh: () => watching.resolve(),
      event: (event: LiveEvent) =>
        void ('run' in event && event.run.target.kind === 'schedule' && event.run.status !== 'running' && ended.resolve(event.run.runId)),
    })
    await watching.promise
    const cpuBefore = workerdCpuMs()
    const began = performance.now()
    await pipeline.trigger('daily')
    const runId = await ended.promise
    const ms = performance.now() - began
    const cpuMs = workerdCpuMs() - cpuBefore
    subscription.close()
    const run = await pipeline.run(runId)
    if (run.status !== 'done') throw new Error(`the run ended as ${run.status}: ${JSON.stringify(run.error)}`)
    if (process.env['STEPS']) {
      for (const step of run.steps ?? [])
        console.error(
          `    ${step.stepId.padEnd(20)} ${String(step.startedAt - run.startedAt).padStart(6)} + ${(step.endedAt ?? 0) - step.startedAt} ms`,
        )
    }
    const table = await app.Pipeline('main').table()
    if (table?.rows !== flightCount) throw new Error(`the table has ${table?.rows} rows, not ${flightCount}`)
    console.error(`  ours: ${ms.toFixed(0)} ms, processor ${cpuMs.toFixed(0)} ms`)
    return { ms, cpuMs }
  } finally {
    await local.stop()
  }
}

/** The script that a person would write: the same files in, the same columns out, one folder a day. The zstd level is ours. */
function runDuckDb(lake: string, target: string): Timing & { processMs: number } {
  const airports = `read_csv('${lake}/airports/airports.csv')`
  const sql = `COPY (
    SELECT f.date::TIMESTAMP AS date, f.delay::INTEGER AS delay, f.distance::INTEGER AS distance,
           f.origin, o.state AS originState, f.destination, d.state AS destinationState, f.date::DATE AS day
    FROM read_json('${lake}/flights/*.ndjson', format = 'newline_delimited') f
    LEFT JOIN ${airports} o ON o.iata = f.origin
    LEFT JOIN ${airports} d ON d.iata = f.destination
  ) TO '${target}' (FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1, PARTITION_BY (day))`
  const script = `
    import { DuckDBInstance } from '@duckdb/node-api'
    const cpu = process.cpuUsage()
    const began = performance.now()
    const instance = await DuckDBInstance.create(':memory:', { threads: '1' })
    const connection = await instance.connect()
    await connection.run(${JSON.stringify(sql)})
    const ms = performance.now() - began
    const { user, system } = process.cpuUsage(cpu)
    process.stdout.write(JSON.stringify({ ms, cpuMs: (user + system) / 1000 }))
    process.exit(0)`
  const began = performance.now()
  const answer = execFileSync(process.execPath, ['--input-type=module', '-e', script], { cwd: root, encoding: 'utf8' })
  const timing = { ...(JSON.parse(answer) as Timing), processMs: performance.now() - began }
  console.error(`  DuckDB: ${timing.ms.toFixed(0)} ms, processor ${timing.cpuMs.toFixed(0)} ms`)
  return timing
}

/** Processor time of the workerds that this process started, so far. Linux; elsewhere `NaN`. */
function workerdCpuMs(): number {
  try {
    const children = readFileSync(`/proc/self/task/${process.pid}/children`, 'utf8').trim().split(' ')
    let ticks = 0
    for (const pid of children) {
      const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
        .replace(/^.*\) /s, '')
        .split(' ')
      ticks += Number(fields[11]) + Number(fields[12])
    }
    // A tick is 10 ms on every Linux that Node runs on.
    return ticks * 10
  } catch {
    return Number.NaN
  }
}

function median(values: number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN
}
