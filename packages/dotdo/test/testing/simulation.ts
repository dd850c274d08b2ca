/**
 * The whole runtime in a simulated world, driven by a seed: objects whose runs call, send, sleep, wait and begin others, while lives end at any point where the
 * platform can end them, calls are lost, events come in any order, objects are put to sleep, and versions of the code come and go.
 *
 * Beside it runs a ledger that reads none of the runtime's tables to know what must have come of everything:
 * 1. What a run does inside of objects is there once.
 * 2. What it does outside is there at least once, always under its own key, and no more often than there were attempts.
 * 3. Every event comes to every handler once in effect, in the order in which it was sent.
 * 4. Every instant of a schedule fires once, in order.
 * 5. Every run that was begun ends, and well; and then nothing is left to do.
 */
import type { DatabaseSync } from 'node:sqlite'
import { idempotencyKey } from '../../src/journal/scope.ts'
import { configureApp } from '../../src/object/app.ts'
import { Links } from '../../src/object/nouns.ts'
import { linkPorts } from '../../src/object/platform.ts'
import type { Life } from '../../src/testing/life.ts'
import { SeededRandom } from '../../src/testing/random.ts'
import { World } from '../../src/testing/world.ts'
import type { Databases } from './databases.ts'
import { senders, versions, type Op } from './simulation-app.ts'

const hourMs = 3_600_000
const midnight = Date.UTC(2026, 0, 1)
const start = midnight + 600_000

/** What goes wrong in a seed. */
export interface SimulationOptions {
  seed: number
  /** Chance of a death at each point where there can be one, 0 to 1. */
  crashes: number
  /** Chance of a call being lost on its way, 0 to 1. */
  losses: number
  /** How many deploys there are. */
  deploys: number
  /** Dies at exactly this point, counted from 1, and nowhere else. */
  crashAt?: number
  /** What its one run does, in the place of what the seed draws. */
  ops?: readonly Op[]
  /** Databases that have tables already: most of a short life would be spent making them. */
  databases?: Databases
  /** Says what happens. */
  log?: (text: string) => void
}

interface Request {
  object: string
  key: string
  ops: readonly Op[]
  acknowledged: boolean
  underWay: boolean
  runId?: string
  /** Somebody cancels it, and takes it up again. */
  stop: 'never' | 'wanted' | 'stopped' | 'again'
}

/** One world with its ledger; see the head of this file. */
export class Simulation {
  readonly world: World
  readonly #options: SimulationOptions
  readonly #random: SeededRandom
  readonly #outside = new Map<string, number>()
  readonly #requests: Request[] = []
  readonly #faults: string[] = []
  readonly #policy: 'latest' | 'pin'
  /** How often what happened. */
  readonly happened = { crashes: 0, evictions: 0, deploys: 0, losses: 0, jumps: 0, cancelled: 0, events: 0, requests: 0, repeated: 0 }
  /** Points at which something could die, so far. */
  points = 0
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
    this.#policy = options.seed % 4 === 3 ? 'pin' : 'latest'
    this.#horizon = start + (1 + (options.seed % 2)) * hourMs + 1000
    const random = this.#random
    this.world = new World({
      at: start,
      random,
      runs: false,
      ...(options.databases && { database: (noun: string) => options.databases!.take(noun) }),
      chance: { random, dies: (life) => this.#dies(life), loses: () => this.#loses() },
    })
    if (options.log) this.world.told = options.log
    this.world.outside = ({ url }) => {
      const key = new URL(url).searchParams.get('key') ?? 'no key'
      this.#outside.set(key, (this.#outside.get(key) ?? 0) + 1)
      return new Response('ok')
    }
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

  #dies(life: Life): 'before' | 'after' | undefined {
    if (this.#isStarted) this.points++
    const { crashAt, crashes } = this.#options
    if (crashAt !== undefined) return this.points === crashAt ? 'before' : this.points === -crashAt ? 'after' : undefined
    if (!this.#isChaos || this.world.crashes >= this.#mostCrashes || life.object.noun === 'DotdoSystem') return undefined
    const drawn = this.#random.next()
    return drawn < crashes / 2 ? 'before' : drawn < crashes ? 'after' : undefined
  }

  /** Lives a whole life. @throws what is not as it must be */
  async run(): Promise<this> {
    this.#deploy(0)
    // What is sent before somebody has subscribed is not owed to them.
    this.#calm(this.#links.user('Listener', 'l') as never)
    await this.#still()
    for (const name of senders) this.#calm(this.#links.user('Actor', name) as never)
    await this.#still()
    if (this.#faults.length > 0) throw new Error(this.#faults.join())
    this.#isStarted = true
    this.#draw()
    for (;;) {
      const happened = await this.world.step()
      if (happened) {
        this.#mischief()
        continue
      }
      if (this.#ask()) continue
      if (this.#isOver()) break
      this.#pass()
    }
    this.#check()
    this.happened.crashes = this.world.crashes
    if (this.#faults.length > 0) throw new Error(this.#faults.join('; '))
    return this
  }

  /** Ends the world and gives its databases away, by noun. */
  end(): (readonly [noun: string, database: DatabaseSync])[] {
    this.world.close()
    const left = [...this.world.objects.values()].map(({ noun, store, lives }) => ({ lives, left: [noun, store.release()] as const }))
    this.#options.databases?.giveBack()
    return left.flatMap((it) => (it.lives > 0 ? [it.left] : []))
  }

  /** A call that only wakes an object, and whose loss does not matter. */
  #calm(stub: { ping(): PromiseLike<unknown> }): void {
    const ignored = () => undefined
    stub.ping().then(ignored, (error: Error) => void this.#faults.push(error.message))
  }

  async #still(): Promise<void> {
    const { turns } = this.world
    // A call leaves when its turn has ended, and is ready only then.
    for (let quiet = 0; quiet < 2; quiet = (await this.world.step()) ? 0 : quiet + 1)
      if (this.world.turns > turns + 2000) throw new Error('the start does not end')
  }

  #deploy(version: number): void {
    this.#version = version
    configureApp({ deploys: this.#policy })
    const { DotdoSystem, ...app } = versions[version]!
    // Told of by every run, the index of the fleet is most of what happens where there is one.
    this.world.deploy(this.#options.seed % 4 === 0 ? { ...app, DotdoSystem: DotdoSystem! } : app, {
      CF_VERSION_METADATA: { id: `v${version + 1}` },
    })
    this.#links = new Links(linkPorts('the client', () => {}))
    // What was asked of the version before may be answered to nobody.
    for (const request of this.#requests) request.underWay = false
  }

  /** What clients ask for: a few runs, each a few steps. */
  #draw(): void {
    const { ops } = this.#options
    if (ops) {
      this.#requests.push({ object: '1', key: 'r', ops, acknowledged: false, underWay: false, stop: 'never' })
      return
    }
    const runs = 2 + this.#random.below(2)
    for (let i = 0; i < runs; i++) {
      const key = `r${i}`
      const object = this.#one(senders)
      const ops = this.#ops(2 + this.#random.below(4), 0)
      // What was taken back is done again when its run is: such a run has other rows than others.
      const isStopped = i === 0 && walk(key, ops, ({ kind }) => (kind === 'fail' ? [kind] : [])).length === 0
      this.#requests.push({ object, key, ops, acknowledged: false, underWay: false, stop: isStopped ? 'wanted' : 'never' })
    }
  }

  #one<T>(of: readonly T[]): T {
    return of[this.#random.below(of.length)]!
  }

  #steps = 0
  #ops(count: number, depth: number): Op[] {
    return Array.from({ length: count }, () => this.#op(depth))
  }

  #op(depth: number): Op {
    const id = `s${this.#steps++}`
    const kinds: Op['kind'][] = [
      'inside',
      'inside',
      'outside',
      'bump',
      'bump',
      'work',
      'send',
      'send',
      'sleep',
      'wait',
      'map',
      'fail',
      ...(depth < 2 ? (['child', 'both'] as const) : []),
    ]
    const kind = this.#one(kinds)
    if (kind === 'outside') return { kind, id, fails: this.#random.below(3) }
    if (kind === 'bump' || kind === 'work') return { kind, id, to: this.#one([...senders, '3']) }
    if (kind === 'sleep') return { kind, id, ms: this.#one([100, 5000, 60_000, hourMs]) }
    if (kind === 'child' || kind === 'both') return { kind, id, ops: this.#ops(1 + this.#random.below(3), depth + 1) }
    return { kind, id }
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
    const request = this.#one(this.#requests)
    if (request.stop === 'wanted' && request.runId !== undefined) this.#stop(request, request.runId)
    else if (request.stop === 'stopped') this.#again(request)
  }

  #stop(request: Request, runId: string): void {
    const stub = this.#links.user('Actor', request.object) as unknown as { stop(runId: string): PromiseLike<string> }
    request.stop = 'stopped'
    this.#stoppedAt = this.world.now
    stub.stop(runId).then(
      () => void this.happened.cancelled++,
      () => undefined,
    )
  }

  /** Whether it was cancelled or not: who asks for it again does not know either. */
  #again(request: Request): void {
    const stub = this.#links.user('Actor', request.object) as unknown as { again(runId: string): PromiseLike<string> }
    stub.again(request.runId!).then(
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
    const open = this.#requests.filter(({ acknowledged, underWay }) => !acknowledged && !underWay)
    for (const request of open) {
      request.underWay = true
      const stub = this.#links.user('Actor', request.object) as unknown as { begin(key: string, ops: readonly Op[]): PromiseLike<string> }
      stub.begin(request.key, request.ops).then(
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
      const stub = this.#links.user('Actor', object) as unknown as { goOn(id: string): PromiseLike<void> }
      stub.goOn(effect).then(
        () => void this.#released.add(effect),
        () => undefined,
      )
    }
    return open.length > 0
  }

  readonly #released = new Set<string>()

  /** Waits of runs that were begun, and that nobody has released. */
  #waits(): { object: string; effect: string }[] {
    if (this.world.now < start + 20_000) return []
    // Events are kept while a run is open: what comes while a run is cancelled, and no other is there, is for nobody.
    return this.#requests.flatMap(({ object, key, ops, acknowledged, stop }) =>
      acknowledged && stop !== 'stopped'
        ? waitsOf(key, ops).flatMap((effect) => (this.#released.has(effect) ? [] : [{ object, effect }]))
        : [],
    )
  }

  /** Time passes to what comes next. When nothing goes wrong any more, and runs are held, their versions come back. */
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
      if (world.now > this.#horizon) this.#deploy((this.#version + 1) % versions.length)
    }
  }

  #turnsOfPins = 0
  #nextPin = 0

  #isOver(): boolean {
    const { now, objects } = this.world
    const isAwaited = [...objects.values()].some(({ alarm }) => alarm !== null && alarm <= now)
    return now > this.#horizon && !isAwaited && this.#open().length === 0
  }

  /** What is not done yet, in words. */
  #open(): string[] {
    const open: string[] = this.#requests.filter(({ acknowledged }) => !acknowledged).map(({ key }) => `${key} was not begun`)
    for (const { store, label, noun } of this.world.objects.values()) {
      if (noun === 'DotdoSystem' || store.sql(`SELECT 1 FROM sqlite_master WHERE name = 'dotdo_runs'`).length === 0) continue
      for (const row of store.sql(
        `SELECT run_id, status, error FROM dotdo_runs WHERE status NOT IN ('done', 'failed') OR status = 'failed' AND target NOT LIKE '%"fails"%'`,
      ))
        open.push(`${label} ${String(row['run_id'])} is ${String(row['status'])} ${String(row['error'] ?? '')}`)
      const waiting = Number(store.sql('SELECT COUNT(*) AS n FROM dotdo_deliveries')[0]!['n'])
      if (waiting > 0) open.push(`${label} has ${waiting} deliveries`)
    }
    return open
  }

  #rows(object: string, sql: string, ...values: string[]): unknown[] {
    const { store } = this.world.object('Actor', object)
    return store.sql(sql, ...values).map((row) => Object.values(row)[0])
  }

  #check(): void {
    this.#latest = Math.max(this.#latest, this.world.now)
    const inside = new Map<unknown, number>()
    for (const name of [...senders, '3']) {
      if (!this.world.objects.has(this.world.object('Actor', name).id.toString()) || this.world.object('Actor', name).lives === 0) continue
      for (const key of this.#rows(name, 'SELECT key FROM effects')) inside.set(key, (inside.get(key) ?? 0) + 1)
      this.#checkFired(name)
    }
    const expected = new Set(this.#requests.flatMap(({ key, ops }) => effectsOf(key, ops)))
    for (const key of expected) if (inside.get(key) !== 1) this.#faults.push(`${key} happened ${inside.get(key) ?? 0} times`)
    for (const key of inside.keys()) if (!expected.has(key as string)) this.#faults.push(`nobody asked for ${String(key)}`)
    this.#checkOutside()
    this.#checkEvents()
  }

  #checkFired(name: string): void {
    const fired = this.#rows(name, 'SELECT at FROM fired ORDER BY n') as number[]
    // An object that was called late has no schedule before.
    const first = fired[0] ?? (name === '3' ? Infinity : midnight + hourMs)
    const dueAt = (now: number) => Math.max(0, Math.floor((now - first) / hourMs) + 1)
    // An instant that was there before the clock went back may have fired, and need not.
    const isDue = fired.length >= dueAt(this.world.now) && fired.length <= dueAt(this.#latest)
    const isLate = name !== '3' && first !== midnight + hourMs
    if (isLate || !isDue || fired.some((at, i) => at !== first + i * hourMs))
      this.#faults.push(`Actor/${name} fired at ${fired.map((at) => (at - midnight) / hourMs).join()}`)
  }

  #checkOutside(): void {
    const expected = new Set<string>()
    // Attempts are counted anew when a run is taken up.
    const isTakenUp = this.#requests.some(({ stop }) => stop === 'again')
    for (const { store, noun } of this.world.objects.values()) {
      if (noun !== 'Actor' || store.sql(`SELECT 1 FROM sqlite_master WHERE name = 'dotdo_steps'`).length === 0) continue
      // Each attempt of a step that asks the outside, by the key that its run and its name make.
      for (const row of store.sql(`SELECT r.run_id, s.step_id, s.attempt FROM dotdo_steps s JOIN dotdo_runs r ON r.seq = s.run`)) {
        const key = idempotencyKey(String(row['run_id']), String(row['step_id']))
        const count = this.#outside.get(key)
        expected.add(key)
        if (count !== undefined && count > Number(row['attempt']) && !isTakenUp)
          this.#faults.push(`${key} asked the outside ${count} times in ${String(row['attempt'])} attempts`)
      }
    }
    for (const [key, count] of this.#outside) {
      this.happened.requests++
      this.happened.repeated += count - 1
      if (!expected.has(key)) this.#faults.push(`the outside was asked under ${key}, which is no step`)
    }
    const asked = this.#requests.flatMap(({ key, ops }) => asksOf(key, ops)).length
    if (this.#outside.size !== asked) this.#faults.push(`the outside was asked under ${this.#outside.size} keys, not ${asked}`)
  }

  #checkEvents(): void {
    for (const sender of senders) {
      const sent = this.#rows(sender, 'SELECT id FROM sent ORDER BY n')
      const names = this.#rows(sender, 'SELECT name FROM sent')
      const expected = this.#requests.filter(({ object }) => object === sender).flatMap(({ key, ops }) => sendsOf(key, ops))
      if (names.map(String).toSorted().join() !== expected.toSorted().join())
        this.#faults.push(`Actor/${sender} sent ${names.join()} and should have sent ${expected.join()}`)
      const own = this.#rows(sender, 'SELECT id FROM got ORDER BY n')
      const heard = this.world
        .object('Listener', 'l')
        .store.sql('SELECT id FROM got WHERE sender = ? ORDER BY n', sender)
        .map(({ id }) => id)
      if (own.join() !== sent.join()) this.#faults.push(`Actor/${sender} sent ${sent.join()} and itself got ${own.join()}`)
      if (heard.join() !== sent.join()) this.#faults.push(`Actor/${sender} sent ${sent.join()} and the listener heard ${heard.join()}`)
      this.happened.events += sent.length
    }
  }
}

/** What stands in a plan, with the key of the run that does it; `of` says what of one thing. */
function walk(key: string, ops: readonly Op[], of: (op: Op, effect: string) => string[]): string[] {
  return ops.flatMap((op) => {
    if (op.kind === 'child') return walk(`${key}/${op.id}`, op.ops, of)
    return op.kind === 'both' ? walk(key, op.ops, of) : of(op, `${key}/${op.id}`)
  })
}

const waitsOf = (key: string, ops: readonly Op[]): string[] => walk(key, ops, ({ kind }, effect) => (kind === 'wait' ? [effect] : []))
const sendsOf = (key: string, ops: readonly Op[]): string[] => walk(key, ops, ({ kind }, effect) => (kind === 'send' ? [effect] : []))
const asks: ReadonlySet<Op['kind']> = new Set(['outside', 'work', 'fail'])
const asksOf = (key: string, ops: readonly Op[]): string[] => walk(key, ops, ({ kind }, effect) => (asks.has(kind) ? [effect] : []))

/** Rows that there must be. */
const effectsOf = (key: string, ops: readonly Op[]): string[] =>
  walk(key, ops, ({ kind }, effect) => {
    if (kind === 'map') return ['a', 'b', 'c'].map((item) => `${effect}/${item}`)
    if (kind === 'fail') return [`${effect}/done`, `${effect}/undone`]
    return kind === 'inside' || kind === 'bump' || kind === 'work' ? [effect] : []
  })
