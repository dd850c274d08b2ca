/** What the app says of itself, once, when its entry is evaluated. One Worker is one app: this is the one state that a module keeps. */
import { DotdoError } from '../base/errors.ts'
import { defaultRetention, readRetention, type KeepOptions, type Retention } from '../base/retention.ts'
import { isSink } from '../events/sinks.ts'
import { defaultShards } from '../fleet/facts.ts'
import { checkRules, readRule, type AlertRule, type AppAlertRule } from '../fleet/rules.ts'
import type { DeployPolicy } from '../journal/ports.ts'
import { defaultClientLimits, defaultDepthLimits, defaultLinkLimits, defaultObjectLimits, type AppLimits } from '../rpc/limits.ts'
import type { SourceDeclarations } from '../sources/ports.ts'
import { renamedInvalid, Renames } from './renamed.ts'
import type { TraceOptions } from './tracing.ts'

/** What `serve({...})` takes, and what the file of a one-file app may export beside its default. */
export interface AppOptions {
  /** Names for data: `{ users: 's3://data-lake/users/', 'data-lake': 'R2_BUCKET' }`. */
  sources?: SourceDeclarations
  /** Objects that must live without being called, by noun: their schedules run from the first deploy on. */
  singletons?: Readonly<Record<string, readonly string[]>>
  /**
   * Nouns whose objects live in other Workers: `{ Stage: 'STAGES' }` says which service binding reaches them. That Worker exports `DotdoEntrypoint`.
   * A noun of the Worker's own, or one with a Durable Object binding, goes before.
   */
  services?: Readonly<Record<string, string>>
  /**
   * Queues that this Worker consumes: `{ orders: { to: 'Orders/eu' } }` hands each message of the Queue `orders` to the handlers of that object, as an
   * event of it, once. Messages that a `{ queue }` sink has sent say what they are; for others, `type` does.
   */
  queues?: Readonly<Record<string, QueueOptions>>
  /**
   * What nouns are called now that were called otherwise before: `{ Order: 'Parcel' }`, beside `renamed_classes` in wrangler.toml. Whatever names an object by an earlier
   * noun (a token, a subscription, a step's call, a saved graph) goes on meaning it. A line stays for as long as there are such objects; the next rename gets a line of its own.
   */
  renamed?: Readonly<Record<string, string>>
  /** Which of its nouns this Worker offers to others through `DotdoEntrypoint`. Default: all that it exports. */
  offers?: readonly string[]
  /** Limits other than the defaults: `{ client: { chainDepth: 50 }, link: { framesPerMessage: 1_000 } }`. */
  limits?: AppLimits
  /**
   * What a run does that is in flight when new code is deployed, for all nouns or by noun: `{ Billing: 'pin' }`. Default `latest`: it goes on with the new
   * code. The Worker must have the binding `CF_VERSION_METADATA`, which tells versions apart.
   */
  deploys?: DeployPolicy | Readonly<Record<string, DeployPolicy>>
  /**
   * How long is kept what is over, other than the defaults: `{ runs: '90d', deadLetters: '7d' }`. Names and defaults stand in docs/reference/keeping-house.md.
   */
  keep?: KeepOptions
  /**
   * The index of all runs, schedules, failures and dead letters of the app, and its alerts. Default: there is one where the app exports `DotdoSystem`, in 8
   * shards; `false`: none, and no object tells anything. Objects in a jurisdiction are in it where `jurisdictions` names that: what they tell stays there.
   */
  fleet?: boolean | FleetOptions
  /** Whether a token opens the app. Default: signed tokens of the app's own secret. Resolve to `false`, or throw, to refuse. */
  authenticate?: (token: string, env: unknown) => boolean | Promise<boolean>
  /** Where the spans of the app's calls, runs and steps go. Default: none are made, and a trace that comes with a call is passed on. */
  traces?: TraceOptions
}

/** What `serve({ fleet })` takes. */
export interface FleetOptions {
  /** How many shards the index has, 1 to 256; 8. Another number is another index: objects tell it when they wake, `fleet.rebuild` wakes them. */
  shards?: number
  /**
   * Jurisdictions whose objects are in the index: `['eu']`. Each has as many shards of its own, in that jurisdiction, which hold what its objects tell; it leaves
   * it in answers to an operator's questions and in alerts alone. An object in one that is not named is not in the index.
   */
  jurisdictions?: readonly string[]
  /** Rules of alerts for all objects, or those of a noun. Objects declare their own in `init()`: `this.alerts`. */
  alerts?: readonly AppAlertRule[]
}

/** Where the messages of one Queue go. */
export interface QueueOptions {
  /** The object, as `Noun/name`; a function of the message's body where it depends on that. */
  to: string | ((body: unknown) => string)
  /** The event's type, such as `Order.received`, for messages that are no events of dotdo. */
  type?: string | ((body: unknown) => string)
}

let current: AppOptions = {}
let retention = defaultRetention

const policies: readonly unknown[] = ['latest', 'pin', 'ask'] satisfies DeployPolicy[]

/** All names of the options. */
const optionNames: Readonly<Record<keyof AppOptions, true>> = {
  sources: true,
  singletons: true,
  services: true,
  queues: true,
  renamed: true,
  offers: true,
  limits: true,
  deploys: true,
  keep: true,
  fleet: true,
  authenticate: true,
  traces: true,
}

const limitNames: Readonly<Record<keyof AppLimits, object>> = {
  link: defaultLinkLimits,
  client: defaultClientLimits,
  depth: defaultDepthLimits,
  object: defaultObjectLimits,
}

/** What the file of a one-file app says beside its default: what is exported by the name of an option. */
export function optionsIn(module: Readonly<Record<string, unknown>>): AppOptions {
  const given = Object.keys(optionNames).filter((name) => module[name] !== undefined)
  return { singletons: { Pipeline: ['main'] }, ...Object.fromEntries(given.map((name) => [name, module[name]])) }
}

/** @throws `SERVE_INVALID` for names that there are not: one that is misspelt would leave the default in its place, without a word */
function checkNames(options: AppOptions): void {
  const { singletons = {}, limits = {}, fleet: index } = options
  knownAlone('', options, optionNames)
  knownAlone('limits', limits, limitNames)
  for (const [name, known] of Object.entries(limitNames)) knownAlone(`limits: { ${name} }`, limits[name as keyof AppLimits] ?? {}, known)
  if (typeof index === 'object') knownAlone('fleet', index, { shards: true, jurisdictions: true, alerts: true })
  for (const [noun, names] of Object.entries(singletons))
    if (!Array.isArray(names))
      throw new DotdoError(
        'SERVE_INVALID',
        `serve({ singletons }) takes a list of names by noun, such as { ${noun}: ['main'] }, not ${JSON.stringify(names)}.`,
        {
          data: { option: noun },
        },
      )
}

/** What is said of a noun is said of the one of today: by an earlier one it would be of nobody. */
function checkNouns({ singletons, services, offers, deploys }: AppOptions, { later }: Renames): void {
  const said = { singletons: Object.keys(singletons ?? {}), services: Object.keys(services ?? {}), offers: offers ?? [] }
  const lists = { ...said, deploys: typeof deploys === 'object' ? Object.keys(deploys) : [] }
  for (const [option, nouns] of Object.entries(lists))
    for (const noun of nouns)
      if (later.has(noun))
        throw renamedInvalid(
          `${noun} is ${later.get(noun)} now, and serve({ ${option} }) still speaks of ${noun}. Say it of ${later.get(noun)}`,
          noun,
        )
}

function knownAlone(within: string, given: object, known: object): void {
  const option = Object.keys(given).find((name) => !Object.hasOwn(known, name))
  if (option === undefined) return
  const where = within === '' ? 'serve()' : `serve({ ${within} })`
  throw new DotdoError('SERVE_INVALID', `${where} has no option '${option}'. There are ${Object.keys(known).join(', ')}.`, {
    data: { option },
  })
}

/** Called by `serve` and by the one-file entry. @throws `SERVE_INVALID`, `TRACES_INVALID`, `DEPLOYS_INVALID`, `KEEP_INVALID`, `FLEET_INVALID`, `ALERT_INVALID`, `INVALID_HANDLER`, `RENAMED_INVALID` */
export function configureApp(options: AppOptions): void {
  checkNames(options)
  const { deploys = 'latest' } = options
  const unknown = (typeof deploys === 'string' ? [deploys] : Object.values(deploys)).find((policy) => !policies.includes(policy))
  if (unknown !== undefined)
    throw new DotdoError(
      'DEPLOYS_INVALID',
      `serve({ deploys }) takes 'latest', 'pin' or 'ask', for all nouns or by noun, not ${JSON.stringify(unknown)}.`,
      { data: { policy: unknown } },
    )
  const { traces } = options
  const sample = traces?.sample ?? 1
  if (traces && (typeof traces.export !== 'function' || !(sample >= 0 && sample <= 1)))
    throw new DotdoError(
      'TRACES_INVALID',
      `serve({ traces }) takes a function export(batch) and a share to sample from 0 to 1, not ${typeof traces.export} and ${sample}.`,
      { data: { export: typeof traces.export, sample } },
    )
  const read = new Renames(options.renamed)
  checkNouns(options, read)
  retention = readRetention(options.keep)
  fleet = readFleet(options.fleet ?? true)
  renames = read
  current = options
}

let renames = new Renames()

/** What was renamed in this Worker's app. */
export const appRenames = (): Renames => renames

let fleet: Fleet | undefined = { shards: defaultShards, jurisdictions: [], rules: [] }

/** The index of the app, as it is set. */
export interface Fleet {
  readonly shards: number
  /** Those that have shards of their own. */
  readonly jurisdictions: readonly string[]
  readonly rules: readonly AlertRule[]
}

/** The index of the app; `undefined` where it has none. */
export const fleetOf = (): Fleet | undefined => fleet

function readFleet(given: boolean | FleetOptions): Fleet | undefined {
  if (given === false) return undefined
  const { shards = defaultShards, jurisdictions = [], alerts = [] } = given === true ? {} : given
  if (!Number.isInteger(shards) || shards < 1 || shards > 256)
    throw new DotdoError('FLEET_INVALID', `serve({ fleet: { shards } }) takes a whole number from 1 to 256, not ${String(shards)}.`, {
      data: { shards },
    })
  const wrong = Array.isArray(jurisdictions)
    ? jurisdictions.find((it) => typeof it !== 'string' || !/^[a-z][a-z0-9-]*$/.test(it))
    : jurisdictions
  if (wrong !== undefined || new Set(jurisdictions).size < jurisdictions.length)
    throw new DotdoError(
      'FLEET_INVALID',
      `serve({ fleet: { jurisdictions } }) takes a list of jurisdictions, each once, such as ['eu'], not ${JSON.stringify(jurisdictions)}.`,
      { data: { jurisdictions } },
    )
  const rules = alerts.map(readRule)
  for (const { to } of rules) isSink(to, 'an alert')
  return { shards, jurisdictions: [...jurisdictions], rules: checkRules(rules) }
}

/** What runs of a noun do when new code is deployed. */
export function deployPolicyOf(noun: string): DeployPolicy {
  const { deploys = 'latest' } = current
  return typeof deploys === 'string' ? deploys : Object.hasOwn(deploys, noun) ? deploys[noun]! : 'latest'
}

/** How long this Worker's app keeps what is over. */
export const appRetention = (): Retention => retention

/** The options of this Worker's app. */
export const appOptions = (): AppOptions => current
