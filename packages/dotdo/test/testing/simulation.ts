/**
 * The whole runtime in a simulated world, driven by a seed: objects whose runs call, send, sleep, wait and begin others, while lives end at any point where the
 * platform can end them, calls are lost, events come in any order, objects are put to sleep, and versions of the code come and go.
 *
 * What it does is in `scenario.ts`, and what must come of it in `ledger.ts`: both are those of the simulation on workerd, in the tests that kill.
 */
import type { DatabaseSync } from 'node:sqlite'
// What an app imports, and with it what the package does to the globals.
import '../../src/index.ts'
import { configureApp } from '../../src/object/app.ts'
import { Links } from '../../src/object/nouns.ts'
import { linkPorts } from '../../src/object/platform.ts'
import type { Life } from '../../src/testing/life.ts'
import { SeededRandom } from '../../src/testing/random.ts'
import { World, type Task } from '../../src/testing/world.ts'
import { Databases, type Beginning } from './databases.ts'
import { faultsOf, openOf, type Left } from '../support/ledger.ts'
import {
  actorIn,
  draw,
  everything,
  listener,
  migrationTo,
  renamedIn,
  senders,
  sendsOf,
  slow,
  waitsOf,
  type Op,
  type Planned,
} from '../support/scenario.ts'
import { versions } from './simulation-app.ts'

const hourMs = 3_600_000
const fullMs = 2 * hourMs
const midnight = Date.UTC(2026, 0, 1)
const start = midnight + 600_000

/** The longest lives have some hundreds. */
const mostTurns = 10_000

/** What goes wrong in a seed. */
export interface SimulationOptions {
  seed: number
  /** What a run does when another version than its own is deployed. */
  policy: 'latest' | 'pin'
  /** Told of by every run, the index of the fleet is most of what happens where there is one. */
  hasFleet: boolean
  /** How many instants of each schedule pass, at least. */
  hours: number
  /** Chance of a death at each point where there can be one, 0 to 1. */
  crashes: number
  /** Chance of a call being lost on its way, 0 to 1. */
  losses: number
  /** How many deploys there are. */
  deploys: number
  /** Dies at exactly this point, counted from 1, and nowhere else. */
  crashAt?: number
  /** From this write on, counted from 1, no object has room for any, for two hours. `updates`: nor for what changes rows in their place. */
  full?: { from: number; updates: boolean }
  /** What its one run does, in the place of what the seed draws. */
  ops?: readonly Op[]
  /** Databases with a beginning: most of a short life would be spent making tables, and subscribing. */
  databases?: Databases
  /** Says what happens. */
  log?: (text: string) => void
}

/** A seed in which nothing goes wrong. */
export const calm: SimulationOptions = { seed: 8, policy: 'latest', hasFleet: true, hours: 1, crashes: 0, losses: 0, deploys: 0 }

/** How much goes wrong in a seed: everything meets everything else, since no two of the numbers have a divisor. */
export const troubles = (seed: number): SimulationOptions => ({
  seed,
  policy: seed % 11 < 3 ? 'pin' : 'latest',
  hasFleet: seed % 7 === 0,
  hours: seed % 13 < 3 ? 2 : 1,
  crashes: [0, 0.01, 0.03, 0.08][seed % 4]!,
  losses: [0, 0.02, 0.1][seed % 3]!,
  deploys: seed % 5,
})

/** Databases with which lives begin. */
export async function beginnings(): Promise<Databases> {
  const databases = new Databases((await new Simulation({ ...calm, ops: everything }).run()).end())
  for (const hasFleet of [true, false]) await new Simulation({ ...calm, hasFleet, databases }).begin()
  return databases
}

interface Request extends Planned {
  acknowledged: boolean
  underWay: boolean
  runId?: string
  /** Somebody cancels it, and takes it up again. */
  stop: 'never' | 'wanted' | 'stopped' | 'again'
  /** It was asked for, answered or not. */
  isTakenUp: boolean
}

type Methods = Record<string, (...args: unknown[]) => PromiseLike<string>>

/** By whatever noun an actor goes. */
const firstOf = (noun: string): string => (noun === actorIn(2) ? 'Actor' : noun)

/** One world with its ledger; see the head of this file. */
export class Simulation {
  readonly world: World
  readonly #options: SimulationOptions
  readonly #random: SeededRandom
  readonly #outside = new Map<string, number>()
  readonly #requests: Request[] = []
  readonly #policy: 'latest' | 'pin'
  readonly #hasFleet: boolean
  /** How often what happened. */
  readonly happened = { crashes: 0, evictions: 0, deploys: 0, losses: 0, jumps: 0, cancelled: 0, events: 0, requests: 0, repeated: 0 }
  /** Kinds of turns after which something died, with how often. */
  readonly died = new Map<string, number>()
  /** Points at which something could die, so far. */
  points = 0
  /** Writes that need room, so far; those that found none, and since when there is none. */
  writes = 0
  refused = 0
  #fullSince: number | undefined
  #deployed = 0
  #isStarted = false
  #version = 0
  #links!: Links
  /** Until then things go wrong. */
  readonly #chaosTurns = 1500
  readonly #mostCrashes = 14
  readonly #horizon: number

  constructor(options: SimulationOptions) {
    this.#options = options
    this.#random = new SeededRandom(options.seed)
    this.#policy = options.policy
    this.#hasFleet = options.hasFleet
    this.#horizon = start + options.hours * hourMs + 1000
    this.world = this.#newWorld()
  }

  get #kind(): string {
    return this.#hasFleet ? 'with a fleet' : 'alone'
  }

  #newWorld(): World {
    const random = this.#random
    const { databases, log } = this.#options
    const world = new World({
      at: start,
      random,
      runs: false,
      ...(databases && {
        database: ({ noun, name }: { noun: string; name: string }) => databases.take(this.#kind, { noun: firstOf(noun), name }),
      }),
      chance: { random, dies: (life, task) => this.#dies(life, task), loses: () => this.#loses() },
    })
    if (log) world.told = log
    world.hasRoom = (_, statement) => this.#hasRoom(statement)
    world.outside = ({ url }) => {
      const key = new URL(url).searchParams.get('key') ?? 'no key'
      this.#outside.set(key, (this.#outside.get(key) ?? 0) + 1)
      return new Response('ok')
    }
    return world
  }

  #hasRoom(statement: string): boolean {
    const { full } = this.#options
    if (!this.#isStarted || (full?.updates !== true && /^\s*UPDATE/i.test(statement))) return true
    if (++this.writes < (full?.from ?? Infinity)) return true
    this.#fullSince ??= this.world.now
    if (this.world.now >= this.#fullSince + fullMs) return true
    this.refused++
    return false
  }

  get #isChaos(): boolean {
    return this.#isStarted && this.#options.crashAt === undefined && this.world.turns < this.#chaosTurns
  }

  #loses(): 'call' | 'answer' | undefined {
    const drawn = this.#isChaos ? this.#random.next() / this.#options.losses : Infinity
    if (drawn >= 1 || Number.isNaN(drawn)) return undefined
    this.happened.losses++
    return drawn < 0.5 ? 'call' : 'answer'
  }

  #dies(life: Life, task: Task): 'before' | 'after' | undefined {
    if (this.#isStarted) this.points++
    const how = this.#drawDeath()
    if (how) {
      const point = `${how} ${task.kind}`
      this.died.set(point, (this.died.get(point) ?? 0) + 1)
    }
    return how
  }

  #drawDeath(): 'before' | 'after' | undefined {
    const { crashAt, crashes } = this.#options
    if (crashAt !== undefined) return this.points === crashAt ? 'before' : this.points === -crashAt ? 'after' : undefined
    if (!this.#isChaos || this.world.crashes >= this.#mostCrashes) return undefined
    const drawn = this.#random.next()
    return drawn < crashes / 2 ? 'before' : drawn < crashes ? 'after' : undefined
  }

  /** Lives a whole life. @throws what is not as it must be */
  async run(): Promise<this> {
    const beginning = this.#options.databases?.beginning(this.#kind)
    if (beginning) this.#restore(beginning)
    else await this.#subscribe()
    this.#isStarted = true
    this.#plan()
    for (;;) {
      const happened = await this.world.step()
      if (this.world.turns > mostTurns) throw new Error(`stuck in ${mostTurns} turns that lead nowhere: ${this.#open().join(', ')}`)
      if (happened) {
        this.#mischief()
        continue
      }
      if (this.#ask()) continue
      if (this.#isOver()) break
      this.#pass()
    }
    this.happened.crashes = this.world.crashes
    const faults = this.#faults()
    if (faults.length > 0) throw new Error(faults.join('; '))
    return this
  }

  /** Lives until everybody has subscribed, and no further: with that, other lives with these databases begin. */
  async begin(): Promise<void> {
    await this.#subscribe()
    const left = [...this.world.objects].map(
      ([
        id,
        {
          noun,
          id: { name },
          alarm,
        },
      ]) => [id, { noun, name, alarm }] as const,
    )
    this.#close()
    this.#options.databases!.remember(this.#kind, new Map(left))
  }

  /** Ends the world and gives its databases away, by noun. */
  end(): (readonly [noun: string, database: DatabaseSync])[] {
    const left = this.#close()
    this.#options.databases?.giveBack()
    return left
  }

  #close(): (readonly [noun: string, database: DatabaseSync])[] {
    this.world.close()
    const left = [...this.world.objects.values()].map(({ noun, store, lives }) => ({
      lives,
      left: [firstOf(noun), store.release()] as const,
    }))
    return left.flatMap((it) => (it.lives > 0 ? [it.left] : []))
  }

  /** Everybody has subscribed and declared what there is, and sleeps. What is sent before that is not owed to anybody. */
  async #subscribe(): Promise<void> {
    this.#deploy(0)
    for (const [noun, names] of [
      ['Listener', [listener]],
      ['Actor', senders],
    ] as const) {
      const woken = names.map((name) => this.#stub(noun, name)['ping']!())
      await this.#still()
      await Promise.all(woken)
    }
    for (const { life } of this.world.objects.values()) if (life) this.world.evict(life)
  }

  #restore(beginning: Beginning): void {
    this.#deploy(0)
    for (const { noun, name, alarm } of beginning.values()) this.world.object(noun, name).setAlarm(alarm)
  }

  async #still(): Promise<void> {
    const { turns } = this.world
    // A call leaves when its turn has ended, and is ready only then.
    for (let quiet = 0; quiet < 2; quiet = (await this.world.step()) ? 0 : quiet + 1)
      if (this.world.turns > turns + 2000) throw new Error('the start does not end')
  }

  #stub(noun: string, name: string): Methods {
    return this.#links.user(noun, name) as Methods
  }

  #deploy(version: number): void {
    this.#version = version
    configureApp({ deploys: this.#policy, renamed: renamedIn(version + 1) })
    const { DotdoSystem, ...app } = versions[version]!
    const env = { CF_VERSION_METADATA: { id: `v${version + 1}` } }
    this.world.deploy(this.#hasFleet ? { ...app, DotdoSystem: DotdoSystem! } : app, env, migrationTo(version + 1))
    this.#links = new Links(linkPorts('the client', () => {}))
    // What was asked of the version before may be answered to nobody.
    for (const request of this.#requests) request.underWay = false
  }

  /** What clients ask for. */
  #plan(): void {
    const { ops } = this.#options
    const planned = ops ? [{ object: '1', key: 'r', ops, isStopped: false }] : draw(this.#random, slow)
    for (const it of planned)
      this.#requests.push({ ...it, acknowledged: false, underWay: false, stop: it.isStopped ? 'wanted' : 'never', isTakenUp: false })
  }

  /** Between turns: time passes while things are under way, an object is put to sleep, another version is deployed. */
  #mischief(): void {
    if (!this.#isChaos) return
    const drawn = this.#random.next()
    if (drawn < 0.01) this.world.moveTo(this.world.now + this.#random.below(3000))
    else if (drawn < 0.012) this.#jump()
    else if (drawn < 0.03) this.#interfere()
    else if (drawn < 0.034) for (const { life } of this.world.objects.values()) if (life?.isIdle) this.#evict(life)
    const { deploys } = this.#options
    if (this.#deployed < deploys && drawn > 1 - deploys / 300) {
      this.#deployed++
      this.happened.deploys++
      this.#deploy(this.#random.below(versions.length))
    }
  }

  /** The clock is set by up to an hour, in either direction. */
  #jump(): void {
    this.happened.jumps++
    this.#latest = Math.max(this.#latest, this.world.now)
    this.world.jump(Math.round((this.#random.next() - 0.5) * 2 * hourMs))
  }

  /** An operator cancels a run, and some time later takes it up again. */
  #interfere(): void {
    const request = this.#requests[this.#random.below(this.#requests.length)]!
    if (request.stop === 'wanted' && request.runId !== undefined) this.#stop(request, request.runId)
    else if (request.stop === 'stopped') this.#again(request)
  }

  #stop(request: Request, runId: string): void {
    request.stop = 'stopped'
    this.#stoppedAt = this.world.now
    this.#stub('Actor', request.object)['stop']!(runId).then(
      () => void this.happened.cancelled++,
      () => undefined,
    )
  }

  /** Whether it was cancelled or not: who asks for it again does not know either. */
  #again(request: Request): void {
    request.isTakenUp = true
    this.#stub('Actor', request.object)['again']!(request.runId!).then(
      () => void (request.stop = 'again'),
      () => undefined,
    )
  }

  #stoppedAt = 0
  /** The latest that the clock has shown. */
  #latest = 0

  #evict(life: Life): void {
    this.happened.evictions++
    this.world.evict(life)
  }

  /** Nothing is ready: clients ask for what they have no answer for. Gives whether one has. */
  #ask(): boolean {
    // Who is refused asks again, and not at once.
    if (this.refused > 0 && this.world.now < this.#askedAt + 600_000) return false
    this.#askedAt = this.world.now
    const open = this.#requests.filter(({ acknowledged, underWay }) => !acknowledged && !underWay)
    for (const request of open) {
      request.underWay = true
      this.#stub('Actor', request.object)['begin']!(request.key, request.ops).then(
        (runId) => {
          request.acknowledged = true
          request.runId = runId
        },
        () => void (request.underWay = false),
      )
    }
    if (!this.#isChaos || this.world.now > this.#stoppedAt + hourMs)
      for (const request of this.#requests) if (request.stop === 'stopped') this.#again(request)
    for (const { object, effect } of this.#waits()) {
      this.#stub('Actor', object)['goOn']!(effect).then(
        () => void this.#released.add(effect),
        () => undefined,
      )
    }
    return open.length > 0
  }

  #askedAt = 0
  readonly #released = new Set<string>()

  /** Waits of runs that were begun, and that nobody has released. */
  #waits(): { object: string; effect: string }[] {
    if (this.world.now < start + 20_000) return []
    // Events are kept while a run is open: what comes while a run is cancelled, and no other is there, is for nobody.
    return this.#requests.flatMap((it) => {
      if (!it.acknowledged || it.stop === 'stopped') return []
      return waitsOf(it).flatMap((effect) => (this.#released.has(effect) ? [] : [{ object: it.object, effect }]))
    })
  }

  /** Time passes to what comes next. When nothing goes wrong any more, and runs are held, their versions come back; what waits a day longer, an operator accepts. */
  #pass(): void {
    const { world } = this
    const next = world.nextAt
    if (next === undefined) throw new Error(`stuck: nothing is due, and ${this.#open().join(', ')}`)
    if (world.now > this.#horizon + 48 * hourMs)
      throw new Error(`stuck at ${new Date(world.now).toISOString()}: ${this.#open().join(', ')}`)
    world.moveTo(next)
    if (this.#policy === 'pin' && this.#turnsOfPins < 60 && world.now > this.#nextPin) {
      this.#turnsOfPins++
      this.#nextPin = world.now + 2 * hourMs
      if (world.now > this.#horizon + 24 * hourMs) this.#accept()
      else if (world.now > this.#horizon) this.#deploy((this.#version + 1) % versions.length)
    }
  }

  /**
   * A caller and what it has called, pinned to two versions, wait for each other until an operator keeps to one version and accepts
   * that for both. Seed 8064 comes to that.
   */
  #accept(): void {
    for (const { noun, name, sql } of this.#left()) {
      if (noun !== 'Actor') continue
      for (const { run_id } of sql(`SELECT run_id FROM dotdo_runs WHERE status = 'held'`) as { run_id: string }[])
        this.#stub(noun, name)['goOnWithNew']!(run_id).then(
          () => undefined,
          () => undefined,
        )
    }
  }

  #turnsOfPins = 0
  #nextPin = 0

  #isOver(): boolean {
    const { now, objects } = this.world
    const isAwaited = [...objects.values()].some(({ alarm }) => alarm !== null && alarm <= now)
    const hadRoom = this.#fullSince === undefined || now > this.#fullSince + fullMs + hourMs
    return now > this.#horizon && hadRoom && !isAwaited && this.#open().length === 0
  }

  /** What is not done yet, in words. */
  #open(): string[] {
    const unasked = this.#requests.filter(({ acknowledged }) => !acknowledged).map(({ key }) => `${key} was not begun`)
    return [...unasked, ...openOf(this.#left())]
  }

  /** Objects of the app, as they are on disk. */
  #left(): Left[] {
    return [...this.world.objects.values()].flatMap(({ noun, id: { name }, store }) =>
      noun === 'DotdoSystem' ? [] : [{ noun: firstOf(noun), name, sql: (statement, ...values) => store.sql(statement, ...values) }],
    )
  }

  #faults(): string[] {
    for (const count of this.#outside.values()) this.happened.repeated += count - 1
    this.happened.requests = this.#outside.size
    this.happened.events = this.#requests.flatMap(sendsOf).length
    return faultsOf({
      runs: this.#requests,
      left: this.#left(),
      outside: this.#outside,
      takenUp: this.#requests.flatMap(({ isTakenUp, runId }) => (isTakenUp ? [runId!] : [])),
      // An instant that was there before the clock went back may have fired, and need not.
      ticks: { everyMs: hourMs, first: midnight + hourMs, until: this.world.now, latest: Math.max(this.#latest, this.world.now) },
    })
  }
}
