/**
 * `npm run bench` runs every bench but `peers`, `npm run bench -- NAME` one, `--list` names them, `--json` prints a line of JSON a result.
 *
 * A bench is a file `packages/dotdo/bench/NAME.ts` or `bench/NAME.ts` whose default export is an async generator of results. It
 * is stopped after ten minutes, and the exit code is not zero when a bar is missed, a bench throws, or yields nothing. `ONLY=TEXT` leaves out what does
 * not have that in its name; then it is enough that one of the benches has something.
 */
import { existsSync, readdirSync } from 'node:fs'
import { basename, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { root } from '../scripts/support/parts.ts'

/** One measured figure beside what it is held against. */
export interface BenchResult {
  name: string
  value: number
  /** Of `value` and `baselineValue`: `ms`, `rows/s`, `MB`, … */
  unit: string
  /** What it is compared with, for example `DuckDB, one thread`. */
  baseline: string
  baselineValue: number
  /** `value` to `baselineValue`, in the direction that the bar is stated in. */
  ratio: number
  /** The bar in words, for example `at most 4`. */
  bar: string
  ok: boolean
}

/** What a bench file exports by default. */
export type Bench = () => AsyncIterable<BenchResult>

const limitMs = 10 * 60_000
const folders = ['packages/dotdo/bench', 'bench']
/** Benches that are asked for by one name, and run alone by their own. */
const groups: Record<string, string[]> = { rpc: ['rpc', 'client-size', 'hostile'] }
/** Benches that run only when they are asked for: they install what they compare with. */
const onDemand = ['peers']
const asked = process.argv.slice(2).filter((arg) => !arg.startsWith('--'))
const json = process.argv.includes('--json')

const files = new Map<string, string>()
for (const folder of folders.filter((folder) => existsSync(join(root, folder)))) {
  for (const file of readdirSync(join(root, folder))) {
    if (!file.endsWith('.ts') || file === 'run.ts') continue
    const name = basename(file, '.ts')
    if (files.has(name)) throw new Error(`two benches are called ${name}: rename one of them`)
    files.set(name, join(root, folder, file))
  }
}

const unknown = asked.filter((name) => !files.has(name))
const names = asked.flatMap((name) => groups[name] ?? [name])
if (unknown.length > 0) {
  console.error(`no such bench: ${unknown.join(', ')}; there are ${[...files.keys()].join(', ') || 'none'}`)
  process.exit(2)
}
if (process.argv.includes('--list')) {
  for (const name of files.keys()) console.log(name)
  process.exit(0)
}

// A bench may hang in code that never yields, so the end is the process's own.
const stop = setTimeout(() => {
  console.error(`stopped: the benches took more than ${limitMs / 60_000} minutes`)
  process.exit(1)
}, limitMs)

const only = process.env['ONLY'] ?? ''
let missed = 0
let yielded = 0
for (const [name, file] of files) {
  if (names.length > 0 ? !names.includes(name) : onDemand.includes(name)) continue
  const results: BenchResult[] = []
  try {
    const { default: bench } = (await import(pathToFileURL(file).href)) as { default?: Bench }
    if (typeof bench !== 'function') throw new Error(`${file} has no default export that is an async generator`)
    for await (const result of bench()) {
      results.push(result)
      if (json) console.log(JSON.stringify({ bench: name, ...result }))
      else console.error(`… ${result.name}`)
    }
    yielded += results.length
    if (results.length === 0 && !only) throw new Error(`${file} yielded no result`)
  } catch (error) {
    missed++
    console.error(`${name}: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`)
  }
  missed += results.filter(({ ok }) => !ok).length
  if (!json && results.length > 0) console.log(`\n${name}\n${table(results)}`)
}
clearTimeout(stop)
if (yielded === 0 && only) {
  missed++
  console.error(`nothing was measured: no name has ${JSON.stringify(only)} in it`)
}
if (missed > 0) console.error(`${missed} bars missed`)
// Native engines and workers may keep the loop alive after their results are in.
process.exit(missed > 0 ? 1 : 0)

/** Columns as wide as their widest cell, figures to the right. */
function table(results: BenchResult[]): string {
  const rows = [
    ['', 'value', 'unit', 'baseline', '', 'ratio', 'bar', ''],
    ...results.map((r) => [
      r.name,
      figure(r.value),
      r.unit,
      figure(r.baselineValue),
      r.baseline,
      r.ratio.toFixed(2),
      r.bar,
      r.ok ? 'ok' : 'MISSED',
    ]),
  ]
  const right = [false, true, false, true, false, true, false, false]
  const widths = right.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)))
  return rows
    .map((row) =>
      `  ${row.map((cell, i) => (right[i] ? cell.padStart(widths[i] ?? 0) : cell.padEnd(widths[i] ?? 0))).join('  ')}`.trimEnd(),
    )
    .join('\n')
}

function figure(value: number): string {
  return value.toLocaleString('en', { maximumFractionDigits: Math.abs(value) >= 100 ? 0 : 2 })
}
