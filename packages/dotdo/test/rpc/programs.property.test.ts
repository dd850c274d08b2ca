/**
 * A program of calls gives over links what it gives in plain JavaScript: the same answers, the same failures, and to each object the same calls in the
 * same order, and to each capability. `PROGRAMS=20000` runs so many, `PROGRAM=7` runs one and says it.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { codeOf } from '../../src/base/errors.ts'
import { startOf, type Conversation, type FrameworkMethods } from '../../src/rpc/conversation.ts'
import { Departures } from '../../src/rpc/departures.ts'
import { makeGraph } from '../../src/rpc/graph.ts'
import { replayGraph } from '../../src/rpc/graph-replay.ts'
import { methodAtHome, passedOnce } from '../../src/rpc/home.ts'
import { Link } from '../../src/rpc/link-client.ts'
import { defaultLinkLimits } from '../../src/rpc/limits.ts'
import { countedHere, readGuard, restrict, type NarrowPorts } from '../../src/rpc/narrow.ts'
import { Reached } from '../../src/rpc/reached.ts'
import { callMember } from '../../src/rpc/members.ts'
import type { CallName } from '../../src/rpc/origin.ts'
import { applyPath } from '../../src/rpc/ref.ts'
import { SeededRandom } from '../support/fakes.ts'
import { pair, turns } from './pair.ts'
import { program, shown, text, Thing, type Arg, type Made, type On, type Program, type Step } from './programs.ts'

type Values = Map<number, any>
type Way = 'live' | 'as a graph' | 'in a step'

/** Why a call was not made, or failed: more than one of its arguments may have. */
class Failure {
  readonly codes: Set<string>
  constructor(codes: Iterable<string>) {
    this.codes = new Set(codes)
  }
}

/** Follows a path; on a promise that is what a call would be made on. */
const follow = (value: any, path: readonly string[]) => path.reduce((at, name) => at[name], value)

/** In plain JavaScript, one call after the other. */
async function inPlace(made: readonly Made[], things: readonly Thing[], values: Values): Promise<void> {
  const given = (arg: Arg | On): any => {
    if ('literal' in arg) return arg.literal
    if ('object' in arg) return things[arg.object]
    if ('anew' in arg) return things[arg.anew]
    if ('list' in arg) return allGiven(arg.list)
    const value = values.get(arg.ref)
    return value instanceof Failure ? value : follow(value, arg.path)
  }
  const allGiven = (args: readonly Arg[]) => {
    const all = args.map(given)
    const failed = all.filter((it) => it instanceof Failure)
    return failed.length > 0 ? new Failure(failed.flatMap(({ codes }) => [...codes])) : all
  }
  for (const it of made) {
    const on = given(it.on)
    const args = 'args' in it ? allGiven(it.args!) : []
    if (on instanceof Failure || args instanceof Failure)
      values.set(it.id, new Failure([on, args].flatMap((part) => (part instanceof Failure ? [...part.codes] : []))))
    else if ('body' in it) {
      const results: unknown[] = []
      for (const element of on) {
        const inner: Values = new Map(values).set(it.element, element)
        await inPlace(it.body, things, inner)
        await inPlace([{ id: -1, on: { object: 0 }, method: 'all', args: [it.result], asked: 'now' }], things, inner)
        results.push(inner.get(-1))
      }
      const failed = results.filter((result) => result instanceof Failure)
      values.set(
        it.id,
        failed.length > 0 ? new Failure(failed.flatMap(({ codes }) => [...codes])) : results.map((result: any) => result[0]),
      )
    } else
      try {
        values.set(it.id, 'args' in it ? await on[it.method](...args) : on[it.method])
      } catch (error) {
        values.set(it.id, new Failure([codeOf(error)!]))
      }
  }
}

/** One call on references. */
function write(it: Made, roots: readonly any[], values: Values, anew: readonly any[] = []): void {
  const given = (arg: Arg | On): any => {
    if ('literal' in arg) return arg.literal
    if ('anew' in arg) return anew[arg.anew]
    if ('object' in arg) return roots[arg.object]
    return 'list' in arg ? arg.list.map(given) : follow(values.get(arg.ref), arg.path)
  }
  const on = given(it.on)
  if ('body' in it)
    values.set(
      it.id,
      on.map((element: unknown) => {
        const inner: Values = new Map(values).set(it.element, element)
        for (const call of it.body) write(call, roots, inner, anew)
        return writeResult(it.result, roots, inner)
      }),
    )
  else values.set(it.id, it.args ? on[it.method](...it.args.map(given)) : on[it.method])
}
const writeResult = (arg: Arg, roots: readonly any[], values: Values): any => {
  if ('literal' in arg) return arg.literal
  if ('object' in arg) return roots[arg.object]
  return 'list' in arg ? arg.list.map((it) => writeResult(it, roots, values)) : follow(values.get(arg.ref), arg.path)
}

/** Time that goes on when it is told to. */
class Timers {
  #now = 0
  #waiting = new Set<{ at: number; then: () => void }>()
  readonly timer = (delayMs: number, then: () => void) => {
    const it = { at: this.#now + delayMs, then }
    this.#waiting.add(it)
    return () => void this.#waiting.delete(it)
  }
  async pass(ms: number): Promise<void> {
    const end = this.#now + ms
    await turns(1)
    for (;;) {
      const [next] = [...this.#waiting].filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)
      if (!next) break
      this.#waiting.delete(next)
      this.#now = next.at
      next.then()
      await turns(2)
    }
    this.#now = end
  }
}

interface Outcome {
  answers: Map<number, unknown>
  notes: string[][]
  marks: string[][]
  tallies: Thing['tallies'][]
  /** Hand-offs that are left long after. */
  left: number
}

/** Asks for an answer now: `await` would do so a step later. */
const answerOf = (call: any): Promise<unknown> =>
  new Promise((resolve, reject) => (typeof call?.then === 'function' ? call.then(resolve, reject) : resolve(call))).then(
    shown,
    (error: unknown) => ({ failed: codeOf(error) ?? (error as Error).message }),
  )

const guards: NarrowPorts = { now: () => 0, counter: countedHere }

/** What an object does with the calls of a step, but for remembering them; those on what lives elsewhere, which an object refuses, are made. */
const callsOfSteps = (thing: Thing) => (conversation: Conversation) =>
  ({
    once: (_key: string, _since: number, _oldest: number, method: string, args: unknown[]) => callMember(thing, method, args),
    onceOf: (target: any, key: string, since: number, oldest: number, way: string | null, method: string | null, args: unknown[]) => {
      const call = { target, name: [key, since, oldest] satisfies CallName, way, method, args, caller: 'Thing/step' }
      const passed = passedOnce(call, { context: conversation, origin: conversation.origin })
      if (passed) return passed
      const work = methodAtHome(target, method)
      return work ? work(...args) : applyPath(target, method === null ? [] : [method], args)
    },
  }) satisfies FrameworkMethods

/** Over links whose answers come late and in any order. */
async function overLinks({ seed, objects, steps }: Program, way: Way): Promise<Outcome> {
  const random = new SeededRandom(seed + 1)
  const timers = new Timers()
  const departures = new Departures()
  let named = 0
  const once = (what: string): CallName => [`${what}#${named++}`, 0, 0]
  const ends = Array.from({ length: objects }, (_, i) => {
    const thing = new Thing(i + 1)
    const framework = callsOfSteps(thing)
    const direct = startOf(thing, () => framework({ origin: { depth: 1 } } as Conversation))
    const it = pair(thing, {
      ...(way === 'in a step' && { direct, caller: () => ({ context: undefined, origin: { depth: 1 }, once }) }),
      departures,
      timer: timers.timer,
      framework: (conversation) => ({
        ...framework(conversation),
        narrow: () => restrict(thing, readGuard({}, guards), guards),
        // As long as the way to it takes.
        restore: async () => {
          await turns(random.below(4))
          return restrict(thing, readGuard({}, guards), guards)
        },
      }),
      carry: async (_message, send) => {
        const reply = await send()
        await turns(random.below(4))
        return reply
      },
    })
    return { ...it, thing, link: new Link(() => it.peer, it.ports, it.stats, {}, { noun: 'Thing', name: String(i) }) }
  })
  const roots = ends.map(({ link }) => link.root() as any)
  // In a step, a narrowed or restored reference has an order within each turn alone.
  const anew = way === 'in a step' ? roots : ends.map(({ link }, i) => new Reached(link, i === 0 ? 'narrow' : 'restore', []).root() as any)
  const values: Values = new Map()
  const answers = new Map<number, Promise<unknown>>()
  const ask = (id: number) => {
    if (!answers.has(id)) answers.set(id, answerOf(values.get(id)))
    return answers.get(id)!
  }
  const made = steps.filter((step) => 'id' in step)
  if (way === 'as a graph') {
    const graph = makeGraph(() => {
      const recorded: Values = new Map()
      for (const it of made) write(it, roots, recorded)
      return made.filter(({ asked }) => asked !== 'never').map(({ id }) => recorded.get(id))
    }, {} as never)
    const all = await answerOf(replayGraph(JSON.parse(JSON.stringify(graph.data)), (_, name) => roots[Number(name)], []))
    answers.set(-1, Promise.resolve(all))
  } else {
    for (const step of steps) {
      if ('turns' in step) await turns(step.turns)
      else if ('await' in step) {
        // One that gets no answer is told of at the end.
        const hasCome = await Promise.race([ask(step.await).then(() => true), turns(400)])
        if (step.value && hasCome)
          try {
            values.set(step.await, await values.get(step.await))
          } catch {
            // It stays what it was.
          }
      } else {
        write(step, roots, values, anew)
        if (step.asked === 'now') void ask(step.id)
      }
    }
    for (const step of steps) if ('id' in step && step.asked === 'at the end') void ask(step.id)
  }
  const settled = new Map<number, unknown>()
  const waits = Promise.all([...answers].map(async ([id, answer]) => settled.set(id, await answer)))
  let isDone = false
  void waits.then(() => (isDone = true))
  for (let i = 0; i < 400 && !(isDone && ends.every(({ link }) => link.isQuiet)); i++) await turns(1)
  for (const id of answers.keys()) if (!settled.has(id)) settled.set(id, 'no answer')
  const notes = ends.map(({ thing }) => thing.notes)
  const marks = ends.map(({ thing }) => thing.marks)
  const tallies = ends.map(({ thing }) => thing.tallies)
  for (const { thing } of ends) thing.letGo()
  const left = () => ends.reduce((sum, { server }) => sum + server.openHandoffs, departures.waiting)
  const { idleMs, graceMs } = defaultLinkLimits
  // What is collected as garbage meanwhile is told, and starts the time anew.
  for (let round = 0; round < 4 && left() > 0; round++) await timers.pass(idleMs + 5 * graceMs)
  return { answers: settled, notes, marks, tallies, left: left() }
}

/** What of a program's outcome over links is not what it is in place; `undefined` where all is. */
async function wrong(one: Program, way: Way): Promise<string | undefined> {
  const things = Array.from({ length: one.objects }, (_, i) => new Thing(i + 1))
  const values: Values = new Map()
  const made = one.steps.filter((step) => 'id' in step)
  await inPlace(made, things, values)
  const before = unhandled.length
  const { answers, notes, marks, tallies, left } = await overLinks(one, way)
  const found = unhandled.slice(before).map((error) => `unhandled: ${error}`)
  const compare = (what: string, is: unknown, expected: unknown) => {
    if (JSON.stringify(is) !== JSON.stringify(expected)) found.push(`${what}: ${JSON.stringify(is)} and not ${JSON.stringify(expected)}`)
  }
  const compareAnswer = (what: string, is: any, expected: unknown) => {
    if (!(expected instanceof Failure)) compare(what, is, shown(expected))
    else if (!expected.codes.has(is?.failed)) compare(what, is, { failed: [...expected.codes] })
  }
  if (way !== 'as a graph') for (const [id, answer] of answers) compareAnswer(`v${id}`, answer, values.get(id))
  else {
    const asked = made.filter((it) => it.asked !== 'never').map(({ id }) => values.get(id))
    const codes = asked.flatMap((it) => (it instanceof Failure ? [...it.codes] : []))
    compareAnswer('the graph', answers.get(-1), codes.length > 0 ? new Failure(codes) : asked)
  }
  things.forEach((thing, i) => compare(`calls of object${i}`, notes[i], thing.notes))
  things.forEach((thing, i) => compare(`calls of anew${i}`, marks[i], thing.marks))
  things.forEach((thing, i) => compare(`calls of capabilities of object${i}`, tallies[i], thing.tallies))
  compare('what is left', left, 0)
  return found.length > 0 ? found.join('\n') : undefined
}

/** The smallest program, by leaving out steps, that still goes wrong. */
async function smallest(one: Program, way: Way): Promise<string> {
  const isUsed = (id: number, later: readonly unknown[]) => new RegExp(`"(?:ref|await)":${id}[,}]`).test(JSON.stringify(later))
  let { steps } = one
  const goesWrong = async (less: Step[]) => {
    const why = await wrong({ ...one, steps: less }, way)
    if (why) steps = less
    return why
  }
  let why = await wrong(one, way)
  for (let before = -1; before !== text(steps).length;) {
    before = text(steps).length
    for (let i = steps.length - 1; i >= 0; i--) {
      const step = steps[i]!
      if (!('id' in step && isUsed(step.id, steps.slice(i + 1)))) why = (await goesWrong(steps.toSpliced(i, 1))) ?? why
      if (steps[i] !== step || !('body' in step)) continue
      for (let j = step.body.length - 1; j >= 0; j--) {
        const map = steps[i] as typeof step
        if (isUsed(map.body[j]!.id, [map.body.slice(j + 1), map.result])) continue
        why = (await goesWrong(steps.with(i, { ...map, body: map.body.toSpliced(j, 1) }))) ?? why
      }
    }
  }
  return `program ${one.seed}, ${way}:\n${text(steps)}\n${why}`
}

/** Rejections that nobody has handled. */
const unhandled: string[] = []
const note = (error: unknown) => void unhandled.push(String((error as Error)?.stack ?? error))

const count = Number(process.env['PROGRAMS'] ?? 200)
const only = process.env['PROGRAM']

describe('a program', () => {
  beforeAll(() => void process.on('unhandledRejection', note))
  afterAll(() => void process.off('unhandledRejection', note))

  test.each<Way>(['live', 'as a graph', 'in a step'])('gives over links what it gives in place: %s', { timeout: 1e7 }, async (way) => {
    const found: string[] = []
    const from = only === undefined ? Number(process.env['FROM'] ?? 1) : Number(only)
    const to = only === undefined ? from + count : from + 1
    for (let seed = from; seed < to && found.length < 10; seed++) {
      const one = program(seed, way !== 'as a graph')
      if (await wrong(one, way)) found.push(await smallest(one, way))
    }
    expect(found.join('\n\n')).toBe('')
  })
})
