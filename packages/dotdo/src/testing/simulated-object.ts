/** One object of the simulated platform: what of it is on disk, and its life, if it has one now. */
import { createHash } from 'node:crypto'
import { Life, type Call } from './life.ts'
import { SqliteStore } from './sqlite-store.ts'
import type { World } from './world.ts'

/** The id of an object. Objects in different jurisdictions are different objects. */
export class ObjectId {
  readonly name: string
  readonly jurisdiction?: string
  readonly #hex: string

  constructor(noun: string, name: string, jurisdiction: string | undefined) {
    this.name = name
    if (jurisdiction !== undefined) this.jurisdiction = jurisdiction
    const key = `${jurisdiction ?? ''} ${noun} ${name}`
    let hex = hexes.get(key)
    if (hex === undefined) {
      if (hexes.size >= mostHexes) hexes.clear()
      hexes.set(key, (hex = createHash('sha256').update(key).digest('hex')))
    }
    this.#hex = hex
  }

  toString(): string {
    return this.#hex
  }

  equals(other: { toString(): string }): boolean {
    return this.#hex === other.toString()
  }
}

const hexes = new Map<string, string>()
const mostHexes = 10_000

/** How often an alarm whose handler throws is tried again, and after which time first. */
const alarmRetries = 6
const alarmRetryMs = 2000

/** An object; see the head of this file. */
export class SimulatedObject {
  readonly world: World
  /** What its class is exported as, since the last deploy. */
  noun: string
  readonly id: ObjectId
  store: SqliteStore
  life: Life | undefined
  /** When its alarm is set to, on disk. */
  alarm: number | null = null
  #alarmsSet = 0
  /** Its alarm failed so often, and comes again then. */
  #failures = 0
  #retryAt: number | undefined
  /** Its alarm is on its way, or its handler runs. */
  isWaking = false
  lives = 0

  constructor(world: World, noun: string, id: ObjectId) {
    this.world = world
    this.noun = noun
    this.id = id
    this.store = new SqliteStore(world.database({ noun, name: id.name }))
  }

  get label(): string {
    return `${this.noun}/${this.id.name}`
  }

  /** When the platform wakes it next. */
  get dueAt(): number | undefined {
    if (this.isWaking || this.alarm === null) return undefined
    return this.#retryAt === undefined ? this.alarm : Math.max(this.alarm, this.#retryAt)
  }

  /** A call has arrived. The first one brings the object to life. */
  receive(call: Call): void {
    let life: Life
    try {
      life = this.awake()
    } catch (error) {
      return call.reject(error)
    }
    life.receive(call)
  }

  /** Its life now, begun if need be. @throws what the constructor of its class throws */
  awake(): Life {
    if (this.life) return this.life
    const Class = this.world.classes[this.noun]
    if (!Class) throw new Error(`The class ${this.noun} is not exported any more.`)
    this.lives++
    const life = new Life(this)
    this.life = life
    try {
      life.begin(Class)
    } catch (error) {
      life.end()
      throw error
    }
    return life
  }

  /** Its alarm is due. */
  wake(): void {
    this.isWaking = true
    const run = () => {
      const fired = this.#alarmsSet
      this.life?.alarmFires()
      const failed = (counts: boolean) => {
        this.isWaking = false
        if (this.#alarmsSet !== fired) return
        if (counts && ++this.#failures > alarmRetries) this.alarm = null
        this.#retryAt = this.world.now + alarmRetryMs * 2 ** this.#failures
      }
      const ended = () => {
        this.isWaking = false
        // What the handler has not set again is over.
        if (this.#alarmsSet === fired) this.setAlarm(null)
      }
      const told = { isRetry: this.#failures > 0, retryCount: this.#failures }
      this.receive({
        method: 'alarm',
        args: [told],
        resolve: ended,
        reject: (error) => failed((error as { isLoss?: true }).isLoss !== true),
      })
    }
    this.world.post({ lane: `alarm ${this.label}`, kind: 'alarm', run })
  }

  /** An alarm was written. */
  setAlarm(at: number | null): void {
    this.alarm = at
    this.#alarmsSet++
    this.#failures = 0
    this.#retryAt = undefined
  }
}
