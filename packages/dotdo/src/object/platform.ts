/** The ports of the pure rooms over workerd. */
import { createHash, createHmac } from 'node:crypto'
import { constants, zstdCompressSync, zstdDecompressSync } from 'node:zlib'
import { bytePipe, endOfTurn, now, randomBytes, randomUUID, timer, whenForgotten } from '#platform'
import type { Clock, Random, SqlRow, SqlValue, Store } from '../base/ports.ts'
import { redactText } from '../base/redact.ts'
import { anySecrets } from '../base/secret-texts.ts'
import { refuseSecrets } from '../base/secrets.ts'
import { asStorageError } from '../base/storage-full.ts'
import type { Mac } from '../rpc/capability-token.ts'
import { Departures } from '../rpc/departures.ts'
import type { Gathering } from '../rpc/gathering.ts'
import type { LinkClientPorts } from '../rpc/link-client.ts'
import type { LinkServerPorts } from '../rpc/link-server.ts'
import { MapMeter } from '../rpc/map-meter.ts'
import { spending, type Caller, type CallName, type LinkSpent, type Origin } from '../rpc/origin.ts'
import { requireSecret } from '../rpc/tokens.ts'
import { appRenames } from './app.ts'
import { currentContext, detached, noteIn, type CallContext } from './context.ts'
import { Writes } from './writes.ts'

/** The clock of the platform. It stands still while code runs and moves with I/O. */
export const clock: Clock = { now: () => now() }

/** Randomness of the platform. */
export const random: Random = {
  next: () => new Uint32Array(randomBytes(4).buffer)[0]! / 4294967296,
  bytes: (length) => randomBytes(length),
}

/** The {@link Store} of one object: its own SQLite. @param writes is told of statements that write */
export function sqlStore(storage: DurableObjectStorage, writes = new Writes()): Store {
  // As it is now: statements of dotdo are not counted as the app's.
  const exec = storage.sql.exec.bind(storage.sql)
  return {
    sql: <Row extends SqlRow>(...run: [statement: string, ...parameters: SqlValue[]]) => {
      const [statement] = run
      // Ids, keys, types and tags are texts of the user's: what none of the rooms has looked at is looked at here.
      if (anySecrets()) for (const it of run) if (it !== statement && typeof it === 'string') refuseSecrets('A text', it)
      try {
        // A list that is handed on as it is: to spread it costs as much as a small statement.
        const cursor = Reflect.apply(exec, undefined, run)
        // It has run already, and to ask for rows that it does not give costs as much again.
        if (givesNone(statement)) {
          writes.count++
          return []
        }
        writes.ran(statement, cursor)
        // All at once: a call into the platform for each row costs as much as the statement.
        const rows = cursor.toArray()
        for (const row of rows) withBytes(row)
        return rows as Row[]
      } catch (thrown) {
        writes.count++
        throw asStorageError(thrown)
      }
    },
    transaction: (work) => storage.transactionSync(work),
  }
}

/** Whether a statement gives no rows for sure: one that writes, and does not say what. */
function givesNone(statement: string): boolean {
  const verb = statement[0]
  return (verb === 'I' || verb === 'U' || verb === 'D') && !statement.includes('RETURNING')
}

/** Rows lazily, values in the order of the columns, for reads that are larger than memory. A write between two rows is seen or not, as SQLite sees fit. */
export function* iterateSql(storage: DurableObjectStorage, statement: string, parameters: readonly SqlValue[]): Generator<SqlValue[]> {
  for (const row of storage.sql.exec(statement, ...parameters).raw()) {
    yield row.map((value) => (value instanceof ArrayBuffer ? new Uint8Array(value) : value))
  }
}

function withBytes(row: Record<string, SqlStorageValue>): void {
  for (const name in row) {
    const value = row[name]
    if (typeof value === 'object' && value instanceof ArrayBuffer) (row as SqlRow)[name] = new Uint8Array(value)
  }
}

/** Level 1: higher ones are slower and, on columns that are encoded already and on rows as JSON, hardly smaller. */
const zstdLevel = { params: { [constants.ZSTD_c_compressionLevel]: 1 } }

/** zstd as the platform has it, natively. */
export const zstd = {
  compress: (bytes: Uint8Array): Uint8Array => zstdCompressSync(bytes, zstdLevel),
  decompress: (bytes: Uint8Array): Uint8Array => zstdDecompressSync(bytes),
}

/** SHA-256 of a text, in hexadecimal; at once, unlike that of Web Crypto. */
export const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex')

/**
 * HMAC-SHA-256 of texts by the secret of a Worker; at once.
 * @param object whose capabilities it signs, as `Noun/name`, for whoever asks from another Worker @throws `SECRET_MISSING` when it is asked for one
 */
export const macOf =
  (env: unknown, object?: string): Mac =>
  (text) =>
    createHmac('sha256', requireSecret((env as { DOTDO_SECRET?: string }).DOTDO_SECRET, object))
      .update(text)
      .digest()

/** The version of the code that runs, where the Worker has the binding `CF_VERSION_METADATA`. */
export function codeVersionOf(env: unknown): string | undefined {
  const { CF_VERSION_METADATA: metadata } = env as { CF_VERSION_METADATA?: { id?: unknown } }
  return typeof metadata?.id === 'string' && metadata.id !== '' ? metadata.id : undefined
}

/** Resolves after `ms`; rejects with the signal's reason when it aborts first. */
export function sleep(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const abort = () => {
      cancel()
      reject(signal.reason as Error)
    }
    const cancel = timer(ms, () => {
      signal.removeEventListener('abort', abort)
      resolve()
    })
    if (signal.aborted) abort()
    else signal.addEventListener('abort', abort, { once: true })
  })
}

/** Counts what `.map`s cost in this isolate. */
export const mapMeter = new MapMeter({ endOfTurn, now: () => clock.now() })
mapMeter.install()

/** What the receiving end of a link needs of the platform. */
export const receivingPorts: LinkServerPorts = { endOfTurn, timer, mapMeter, bytePipe }

/**
 * What keeps an object alive for what its links have under way: nothing has to. It lives on by itself while a call of it is open, and to ask `waitUntil` for that
 * costs more than all the rest of a call at this end. A request of a Worker has to ask.
 */
export const livesByItself = (_work: Promise<unknown>): void => {}

/** What the platform gives the calling end of links; how addresses are reached, `nouns.ts` says. */
export type OwnerPorts = Omit<LinkClientPorts, 'peerAt'>

/**
 * The calling end of links for one owner: an object's instance, or one request of a Worker.
 * @param owner as logs name it; an object's label
 * @param host the object whose code calls; a Worker's request has none
 * @param keepAlive `waitUntil` of a Worker's request, which loses messages without it that its turn has not sent yet; {@link livesByItself} of an object
 * @param request on whose behalf a Worker's request calls
 */
export function linkPorts(
  owner: string,
  keepAlive: (work: Promise<unknown>) => void,
  host?: CallingHost,
  request: Origin = { depth: 1 },
): OwnerPorts {
  return {
    caller: callers(host, request),
    endOfTurn,
    departures: new Departures(),
    ...(host && { gathering: host.gathering }),
    keepAlive,
    timer,
    bytePipe,
    newSession: randomUUID,
    whenForgotten,
    detached,
    unawaitedFailure: (error) => console.warn(redactText(`${owner}: a call that nobody awaited failed: ${error.code}: ${error.message}`)),
  }
}

/** What of an object its calls tell of it. */
export interface CallingHost {
  /** What those that are called take it for. */
  readonly knownAs: string
  /** No step of this object that can still be attempted began before, epoch milliseconds. */
  oldestOpenStep(): number
  /** What comes to this object and goes on together. */
  readonly gathering: Gathering
}

/** Whose code calls now: the context of the object's own call, run or event, or none. Asked for at every call, so it is told once for each context. */
function callers(host: CallingHost | undefined, request: Origin): () => Caller {
  const nobody: Caller = { context: undefined, origin: host ? { depth: 1, caller: host.knownAs } : request }
  return () => {
    const context = host && currentContext()
    if (!context || context.host !== host) return nobody
    // A context is copied for a step in it, and what was told of the first is not true of the copy.
    if (context.calling?.context !== context) context.calling = callerIn(host, context)
    return context.calling
  }
}

function callerIn(host: CallingHost, context: CallContext): Caller {
  // Looked at when something is spent: a call becomes a run by its first step. What is sent is sent, whatever it costs.
  const spend = (spent: LinkSpent) => void context.execution?.spend(spent)
  const from = context.origin
  const origin: Origin = { depth: (from?.depth ?? 0) + 1, caller: host.knownAs, [spending]: spend }
  // Rare, all of them: to copy an origin part by part costs more than the rest of this.
  if (from?.traceparent !== undefined) origin.traceparent = from.traceparent
  if (from?.tracestate !== undefined) origin.tracestate = from.tracestate
  if (from?.dryRun) origin.dryRun = true
  if (from?.records) origin.records = from.records
  const { execution } = context
  const since = execution?.stepStartedAt
  const noted = (object: string, method: string, args: readonly unknown[]): void => {
    if (!isOwnObject(object)) noteIn(context, { kind: 'call', target: appRenames().labelNow(object), what: method, input: args })
  }
  // A dry run takes no effect, so there is none to be remembered.
  if (since === undefined || origin.dryRun) return { context, origin, noted }
  const once = (what: string): CallName | undefined =>
    // The framework's own objects have keys of their own, which hold for longer.
    isOwnObject(what) ? undefined : [shortKey(execution!.nextKey(`call:${what}`)), since, host.oldestOpenStep()]
  return { context, origin, once, noted }
}

/** Whether a label is that of an object of the framework itself. */
const isOwnObject = (label: string): boolean => label.startsWith('DotdoSystem/')

/** A key that fits where keys are stored. */
function shortKey(key: string): string {
  return key.length <= 256 ? key : `${key.slice(0, 160)}:${sha256(key)}`
}
