/**
 * An app in a test: its own classes on the simulated platform, with time that moves when the test says so. Nothing runs beside it: no Worker, no
 * network, no disk.
 *
 * Owns the world of the app. One app is open at a time, as a Worker has one: opening another ends the one before.
 */
import { DurableObject } from '#platform'
import { toMs, type Duration } from '../base/durations.ts'
import { DotdoError } from '../base/errors.ts'
import { configureApp, optionsIn, type AppOptions } from '../object/app.ts'
import { DO } from '../object/do.ts'
import { Links } from '../object/nouns.ts'
import type { TypedNouns } from '../object/noun-types.ts'
import { linkPorts } from '../object/platform.ts'
import { Renames } from '../object/renamed.ts'
import { optionsOf } from '../object/serve.ts'
import { wakeSingletons } from '../object/singletons.ts'
import { DotdoSystem } from '../object/system.ts'
import { MemoryBucket } from './bucket.ts'
import { CrashAfter, type CrashOptions } from './crash-after.ts'
import { useWorld } from './globals.ts'
import { SeededRandom } from './random.ts'
import { runsOf, type TestRun } from './runs.ts'
import type { SimulatedObject } from './simulated-object.ts'
import { neverSettles, Standstill, working } from './standstill.ts'
import { layOut, type SourceContent } from './sources.ts'
import { World, type ObjectClass } from './world.ts'

/** What {@link testApp} may be told. */
export interface TestOptions {
  /** When the test begins: an instant. Default `2026-01-01T00:00Z`. */
  at?: number | Date | string
  /** Data, by the name that the app declares for it, a new name, or an address: see {@link SourceContent}. */
  sources?: Readonly<Record<string, SourceContent>>
  /** Other objects that the app calls, as definitions: `{ Warehouse: { load(rows) { … } } }`. Each is a real object behind real links. */
  // What a definition's methods find on `this` is the definition, and all of dotdo: a fake is too short to be typed.
  // oxlint-disable-next-line typescript/no-explicit-any
  fakes?: Readonly<Record<string, object & ThisType<any>>>
  /** Bindings beside the bucket `R2_BUCKET`, which is always there. A bucket of a test is `'bucket'`. */
  env?: Readonly<Record<string, unknown>>
  /** Answers what `fetch` asks of addresses that are no sources. Default: such a request fails. */
  fetch?: (request: Request) => Response | Promise<Response>
  /** The version of the code, by which runs tell a deploy. Default `v1`. */
  version?: string
  /** Of all that is random. The same seed, the same test. */
  seed?: number
  /**
   * How long a call may be awaited, in milliseconds of real time, while nothing can happen before the test lets time pass: then it rejects with `TEST_WAITS`,
   * and the test need not hang until its runner ends it. Default 2,000.
   */
  patienceMs?: number
}

/** What a deploy of a test may be told. */
export interface DeployOptions {
  /** The version of the code. Default `v1`. */
  version?: string
  /** Which classes keep their objects under another name: `{ Order: 'Parcel' }`. Default: those of `serve({ renamed })`. */
  renamed?: Readonly<Record<string, string>>
}

/** An app under test. Its nouns stand on it as they do on `this`: `app.Pipeline('main').query(…)`. */
export interface TestApp {
  /** Now, epoch milliseconds. It stands still until the test moves it. */
  readonly now: number
  /** Lets so much time pass. Everything that is due on the way happens in its order, and what it starts. */
  advance(duration: Duration): Promise<void>
  /** Lets everything happen that needs no time. */
  settle(): Promise<void>
  /** Lets time pass until a promise has settled, a day at most. @throws what it rejects with; `TEST_WAITS` where nothing will settle it */
  until<T>(promise: PromiseLike<T>): Promise<T>
  /** The runs of all objects, or of one (`Pipeline/main`), in the order in which they began. */
  runs(object?: string): TestRun[]
  /** The bucket of a binding: what it holds, by key. */
  bucket(binding?: string): ReadonlyMap<string, { bytes: Uint8Array }>
  /** The object that finishes this step next dies of it: with its result on disk, or without (`{ stored: false }`). */
  crashAfter(stepId: string, options?: CrashOptions): void
  /** An object dies now: what it has not stored is gone. `Pipeline/main` where nothing is said. */
  crash(object?: string): Promise<void>
  /** An object is put to sleep, as the platform does with those that nobody needs. */
  evict(object?: string): Promise<void>
  /**
   * Deploys another version of the app: live objects are reset, runs that are in flight go on by their policy.
   * @param options `renamed`: what `renamed_classes` of the migration says, where it is something else than the app's own `serve({ renamed })`
   */
  deploy(app: object, options?: DeployOptions): Promise<void>
  /**
   * Ends the app. Opening another one does it too, and so does the end of the block in `using app = await testApp(…)`.
   * @throws `TEST_CRASH_UNMET` where a death that was planned by `crashAfter` has not come: no such step was done
   */
  close(): void
  [Symbol.dispose](): void
}

let open: OpenApp | undefined

/**
 * Opens an app for a test, in plain Node.
 *
 * @param app the class of an app of one file, or the module of one that exports its classes (`import * as app from '../src/index.ts'`)
 * @throws `TEST_APP_EMPTY` where it exports no class; `SOURCE_UNKNOWN`
 * @example
 * const app = await testApp(Pipeline, { sources: { users: [{ id: 1 }] }, at: '2026-01-01T00:00Z' })
 * await app.advance('1d')
 * expect(app.runs().at(-1).steps).toEqual(['extract: done, [{"id":1}]'])
 */
export async function testApp(app: object, options: TestOptions = {}): Promise<TestApp & TypedNouns> {
  open?.replaced()
  const opened = new OpenApp(options)
  open = opened
  await opened.deploy(app, options)
  return new Proxy(opened, {
    get(target, property) {
      if (typeof property === 'string' && /^[A-Z]/.test(property)) return (name: string) => target.noun(property, name)
      const value: unknown = Reflect.get(target, property)
      return typeof value === 'function' ? (value.bind(target) as unknown) : value
    },
  }) as unknown as TestApp & TypedNouns
}

const mainBinding = 'R2_BUCKET'
const dayMs = 86_400_000

class OpenApp implements TestApp {
  readonly #world: World
  readonly #options: TestOptions
  readonly #crashAfter: CrashAfter
  readonly #buckets = new Map<string, MemoryBucket>()
  readonly #standstill: Standstill
  #links!: Links
  #isClosed = false

  constructor(options: TestOptions) {
    const at = new Date(options.at ?? '2026-01-01T00:00Z').getTime()
    if (Number.isNaN(at))
      throw new DotdoError('INVALID_INSTANT', `testApp: ${JSON.stringify(options.at)} is no instant. Write '2026-01-01T00:00Z'.`)
    this.#options = options
    this.#world = new World({ at, random: new SeededRandom(options.seed ?? 1), runs: true })
    this.#crashAfter = new CrashAfter()
    this.#standstill = new Standstill(this.#world, options.patienceMs)
    this.#world.afterTurn = (life) => this.#crashAfter.look(life)
    const buckets = Object.entries(options.env ?? {}).flatMap(([name, value]) => (value === 'bucket' ? [name] : []))
    for (const name of new Set([mainBinding, ...buckets])) this.#buckets.set(name, new MemoryBucket(this.#world))
    useWorld(this.#world)
  }

  get now(): number {
    return this.#world.now
  }

  noun(noun: string, name: string): unknown {
    this.#requireOpen()
    return this.#links.user(noun, name)
  }

  async deploy(app: object, { version = 'v1', renamed }: DeployOptions = {}): Promise<void> {
    this.#requireOpen()
    const { classes, options } = readApp(app, this.#options.fakes ?? {})
    const env = {
      DOTDO_SECRET: 'the secret of a test, of 32 characters',
      ...this.#options.env,
      ...Object.fromEntries(this.#buckets),
      CF_VERSION_METADATA: { id: version },
    }
    const { declarations, answers } = layOut(this.#options.sources ?? {}, options.sources ?? {}, (it) => this.#buckets.get(it), mainBinding)
    this.#world.outside = (request) => (answers.get(request.url) ?? this.#options.fetch ?? unanswered)(request)
    this.#world.deploy(classes, env, renamed ?? Object.fromEntries(new Renames(options.renamed).later))
    configureApp({ ...options, sources: declarations })
    this.#links = new Links(linkPorts('the test', () => {}))
    await this.until(wakeSingletons(this.#links, env, 'all'))
    await this.settle()
  }

  advance(duration: Duration): Promise<void> {
    return this.#standstill.during(() => this.#advance(duration))
  }

  async #advance(duration: Duration): Promise<void> {
    const end = this.now + toMs(duration)
    await this.settle()
    for (let next = this.#world.nextAt; next !== undefined && next <= end; next = this.#world.nextAt) {
      this.#world.moveTo(next)
      await this.settle()
    }
    this.#world.moveTo(end)
    await this.settle()
  }

  settle(): Promise<void> {
    return this.#standstill.during(() => this.#settle())
  }

  async #settle(): Promise<void> {
    this.#requireOpen()
    const own = working()
    const patience = performance.now() + longestWorkMs
    for (;;) {
      await turn()
      if (!this.#world.isStill) continue
      // What users' code asks of Node itself takes real time: files, sockets, compression.
      const isWorking = working() > own
      if (!isWorking || performance.now() > patience) return
    }
  }

  until<T>(promise: PromiseLike<T>): Promise<T> {
    return this.#standstill.during(() => this.#until(promise))
  }

  async #until<T>(promise: PromiseLike<T>): Promise<T> {
    let isSettled = false
    const ended = () => void (isSettled = true)
    promise.then(ended, ended)
    const latest = this.now + dayMs
    for (;;) {
      await this.settle()
      if (isSettled) return promise
      const next = this.#world.nextAt
      if (next === undefined || next > latest) throw neverSettles(latest - dayMs, next)
      this.#world.moveTo(next)
    }
  }

  runs(object?: string): TestRun[] {
    return [...this.#world.objects.values()]
      .filter(({ noun, label }) => noun !== 'DotdoSystem' && (object === undefined || label === object))
      .flatMap(runsOf)
      .toSorted((a, b) => a.startedAt - b.startedAt)
  }

  bucket(binding: string = mainBinding): ReadonlyMap<string, { bytes: Uint8Array }> {
    const bucket = this.#buckets.get(binding)
    if (!bucket)
      throw new DotdoError('BUCKET_UNKNOWN', `This test has no bucket ${binding}. Say it: testApp(app, { env: { ${binding}: 'bucket' } }).`)
    return bucket.objects
  }

  crashAfter(stepId: string, options: CrashOptions = {}): void {
    this.#crashAfter.plan(stepId, options, this.#world.objects.values())
  }

  async crash(object = 'Pipeline/main'): Promise<void> {
    const { life } = this.#object(object)
    if (life) this.#world.crash(life)
    await this.settle()
  }

  async evict(object = 'Pipeline/main'): Promise<void> {
    const { life } = this.#object(object)
    if (life) this.#world.evict(life)
    await this.settle()
  }

  close(): void {
    if (this.#isClosed) return
    const unmet = this.#end()
    if (unmet) throw unmet
  }

  [Symbol.dispose](): void {
    this.close()
  }

  /** Another app is opened. What is wrong with this one is no fault of that one's test. */
  replaced(): void {
    if (this.#isClosed) return
    const unmet = this.#end()
    if (unmet) process.emitWarning(unmet.message, { type: 'DotdoWarning', code: unmet.code })
  }

  #end(): DotdoError | undefined {
    this.#isClosed = true
    this.#standstill.end()
    this.#world.close()
    const objects = [...this.#world.objects.values()].filter(({ noun }) => noun !== 'DotdoSystem')
    return this.#crashAfter.unmet(() => this.runs().flatMap(({ views }) => views.map(({ stepId }) => stepId)), objects.length)
  }

  #object(label: string): SimulatedObject {
    const found = [...this.#world.objects.values()].find((it) => it.label === label)
    if (found) return found
    const known = [...this.#world.objects.values()].map((it) => it.label).join(', ')
    throw new DotdoError('TEST_OBJECT_UNKNOWN', `No ${label} has been called in this test. There are: ${known || 'none'}.`, {
      data: { object: label },
    })
  }

  #requireOpen(): void {
    if (!this.#isClosed) return
    throw new DotdoError(
      'TEST_APP_CLOSED',
      'This app of a test was ended, by close() or by the next testApp(). Only one is open at a time: run tests that open one after the other.',
    )
  }
}

const longestWorkMs = 5000

/** One round of Node's own loop. */
const turn = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve))

function unanswered({ url }: Request): never {
  throw new TypeError(`fetch failed: nothing answers ${url} in this test. Give it as a source, or testApp(app, { fetch }).`)
}

/** The classes and options of an app: a class alone is the one-file app, whose object is `Pipeline/main`. */
function readApp(app: object, fakes: Readonly<Record<string, object>>): { classes: Record<string, ObjectClass>; options: AppOptions } {
  const module = (isClass(app) ? { default: app } : app) as Record<string, unknown>
  const { default: main, ...named } = module
  const classes: Record<string, ObjectClass> = { DotdoSystem: DotdoSystem as unknown as ObjectClass }
  for (const [name, value] of Object.entries(named)) if (isClass(value)) classes[name] = value
  for (const [noun, definition] of Object.entries(fakes))
    classes[noun] = (isClass(definition) ? definition : DO.extend(definition)) as ObjectClass
  if (isClass(main)) return { classes: { Pipeline: main, ...classes }, options: optionsIn(named) }
  if (Object.keys(classes).length === 1)
    throw new DotdoError(
      'TEST_APP_EMPTY',
      'testApp takes a class of DO.extend, or a module that exports some: import * as app from "../src/index.ts".',
    )
  return { classes, options: typeof main === 'object' && main !== null ? optionsOf(main) : {} }
}

function isClass(value: unknown): value is ObjectClass {
  return typeof value === 'function' && value.prototype instanceof DurableObject
}
