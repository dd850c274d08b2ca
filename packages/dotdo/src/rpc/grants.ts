/**
 * What one object has handed out: it issues the tokens of its saved capabilities, and is asked at every call that is made by one.
 *
 * Owns the table `dotdo_grants`. Invariants:
 * G1. A token is nowhere in it: a row has the SHA-256 of one, and of a holder's secret.
 * G2. A row decides at the moment of each call, so that what revokes it, or uses it up, holds for the next call of every session.
 * G3. A grant made from another one leads through it: it is never more, and ends with it.
 * G4. A row that is over is kept for 30 days, so that people can see what became of it, and is then forgotten: to its token that is the same.
 */
import { objectLabel } from './origin.ts'
import { RpcPromise } from 'capnweb'
import { decodeValue, encodeValue } from '../base/codec.ts'
import { DotdoError } from '../base/errors.ts'
import { newId } from '../base/ids.ts'
import { migrate, type Migrations } from '../base/migrations.ts'
import type { Clock, Random, SqlRow, Store } from '../base/ports.ts'
import type { GrantView } from '../base/views.ts'
import { signCapability, verifyCapability, invalidCapability, type Issuer, type Mac } from './capability-token.ts'
import { guardOf, readCaveats, revoked, type Guard, type ReadCaveats, type UseCounter } from './caveats.ts'
import { checkHolder, readHolder, storeHolder, type StoredHolder } from './holder.ts'
import { isCapability, narrowName, restrict, type NarrowPorts } from './narrow.ts'
import { invalid } from './patterns.ts'
import { encodePath, follow, notSavable, printPath, saveStep, type RecordedStep, type SavedStep } from './saved-path.ts'
import { base64url } from './tokens.ts'

/** The table, version by version. Entries are only ever added. */
export const grantMigrations: Migrations = [
  [
    // `uses_left` is a list: one number for each narrowing on the way that counts uses, and one for the grant's own; null where it does not.
    // `over_at` is the instant from which on it is known to open nothing.
    `CREATE TABLE dotdo_grants (
      id TEXT PRIMARY KEY, token_hash TEXT NOT NULL, path TEXT NOT NULL, caveats TEXT NOT NULL, holder TEXT, label TEXT, by TEXT, parent TEXT,
      created_at INTEGER NOT NULL, expires_at INTEGER, uses_left TEXT NOT NULL, used_at INTEGER, revoked_at INTEGER, over_at INTEGER) WITHOUT ROWID`,
    'CREATE INDEX dotdo_grants_over ON dotdo_grants (over_at) WHERE over_at IS NOT NULL',
  ],
]

/** Grants of one object that are kept, at most: those that are over, too. */
export const maxGrants = 10_000
/** How many grants may lead through each other: each is asked at every call. */
export const maxGenerations = 16
/** How long one that is over is kept where nothing else is said. */
const keepOverDefaultMs = 30 * 86_400_000

/** Rows that one sweep drops at most. */
const pruneBite = 500
/** The instant of the last use is kept to the minute: a call would else be a write. */
const usedStepMs = 60_000
const maxLabel = 256

/** What grants need of their surroundings. */
export interface GrantPorts extends NarrowPorts {
  store: Store
  clock: Clock
  random: Random
  /** SHA-256 of a text, in hexadecimal. */
  sha256: (text: string) => string
  mac: Mac
  /** The object that these are the grants of. */
  issuer: Issuer
  /** A token may name the issuer by another noun that it has had: what that is to others. Default: the noun itself. */
  firstNoun?: (noun: string) => string
  /** How long one that is over is kept. Default 30 days. */
  keepOverMs?: number
}

/** What is asked for: the way to the capability from the object's root, and what it is narrowed to. */
export interface GrantRequest {
  path: readonly RecordedStep[]
  caveats?: unknown
  holder?: unknown
  label?: unknown
}

/** The names that lead through what exists already, as references record them. */
export const restoreName = 'dotdo:restore'

interface GrantRow extends SqlRow {
  id: string
  token_hash: string
  path: string
  caveats: string
  holder: string | null
  label: string | null
  by: string | null
  parent: string | null
  created_at: number
  expires_at: number | null
  uses_left: string
  used_at: number | null
  revoked_at: number | null
  over_at: number | null
}

/** The grants of one object; see the head of this file for what it owns. */
export class Grants {
  #ports: GrantPorts
  #migrated = false

  constructor(ports: GrantPorts) {
    this.#ports = ports
  }

  /**
   * Issues a token. Nothing of the way is called: it is data until it is restored.
   * @param by the object that asks, as `Noun/name`
   * @throws `NOT_SAVABLE`, `INVALID_CAVEAT`, `TOO_MANY_GRANTS`, `SECRET_MISSING`; for a restored capability what {@link restore} throws
   */
  issue(request: GrantRequest, by?: string): string {
    const { clock, random, sha256, mac, issuer } = this.#ports
    const now = clock.now()
    const own = readCaveats(request.caveats ?? {}, now)
    const label = readLabel(request.label)
    const { steps, uses, parent } = this.#saveSteps(request.path, now, by)
    const holder = readHolder(request.holder)
    if (holder && this.#lineage(parent).some((it) => it.holder !== null))
      throw invalid('holder', 'cannot be given: what is saved was restored from a token that is bound to a holder, and stays so')
    this.#makeRoom(now)

    const id = newId('grant', clock, random)
    const token = signCapability(
      {
        kind: 'capability',
        v: 1,
        ...issuer,
        id,
        nonce: base64url(random.bytes(16)),
        ...(own.until !== undefined && { expiresAt: own.until }),
      },
      mac,
    )
    const usesLeft = JSON.stringify([...uses, own.uses ?? null])
    this.#sql(
      `INSERT INTO dotdo_grants (id, token_hash, path, caveats, holder, label, by, parent, created_at, expires_at, uses_left, over_at)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
      id,
      sha256(token),
      encodePath(steps),
      encodeValue(own),
      holder ? JSON.stringify(storeHolder(holder, id, sha256)) : null,
      label ?? null,
      by ?? null,
      parent ?? null,
      now,
      own.until ?? null,
      usesLeft,
      own.until ?? null,
    )
    return token
  }

  /**
   * The capability that a token stands for, with everything that limits it in force.
   * @param root what the object's users reach
   * @param caller who asks, as `Noun/name`; a client of the door is nobody
   * @throws `TOKEN_INVALID`, `CAPABILITY_REVOKED`, `CAPABILITY_EXPIRED`, `CAPABILITY_USED_UP`, `HOLDER_REFUSED`, `NOT_SAVABLE`
   */
  async restore(token: unknown, root: object, holder?: unknown, caller?: string): Promise<object> {
    return (await this.#reach(this.#present(token, holder, caller), root)).value
  }

  /**
   * Takes a grant back, and with it every grant that was made from it. Answers whether it was there and not over.
   * @param grant a token of this object, or a grant's id
   * @throws `TOKEN_INVALID`, `GRANT_UNKNOWN`
   */
  revoke(grant: unknown): boolean {
    const isToken = typeof grant === 'string' && grant.startsWith('dotdo1.')
    const id = isToken ? this.#verify(grant).id : grant
    const row = typeof id === 'string' ? this.#row(id) : undefined
    if (!row) {
      // Its token is genuine: it was forgotten, which is as good.
      if (isToken) return false
      throw new DotdoError(
        'GRANT_UNKNOWN',
        `${this.#label} has handed out nothing with the id ${JSON.stringify(String(grant).slice(0, 100))}. Its list has the ids: grants().`,
        { data: { grant: String(grant).slice(0, 100) } },
      )
    }
    const now = this.#ports.clock.now()
    if (row.revoked_at !== null || (row.over_at !== null && row.over_at <= now)) return false
    this.#sql('UPDATE dotdo_grants SET revoked_at = ?, over_at = ? WHERE id = ?', now, now, row.id)
    return true
  }

  /** What was handed out, newest first; without tokens, which nobody has but those who were given them. */
  list(limit = 500): GrantView[] {
    const now = this.#ports.clock.now()
    return this.#sql<GrantRow>('SELECT * FROM dotdo_grants ORDER BY id DESC LIMIT (? + 0)', limit).map((row) => this.#view(row, now))
  }

  /** Checks a token, and that whoever presents it may. Gives its row. */
  #present(token: unknown, holder: unknown, caller: string | undefined): GrantRow {
    const claims = this.#verify(token)
    const row = this.#row(claims.id)
    if (!row) throw revoked()
    if (this.#ports.sha256(token as string) !== row.token_hash) throw invalidCapability('it is not the one that was issued')
    for (const it of this.#lineage(row.id)) {
      this.#guard(it).alive()
      if (it.holder !== null) checkHolder(JSON.parse(it.holder) as StoredHolder, it.id, holder, caller, this.#ports.sha256)
    }
    return row
  }

  #verify(token: unknown): { id: string } {
    const claims = verifyCapability(token, this.#ports.mac)
    const { issuer, firstNoun = (noun) => noun } = this.#ports
    const { noun, name, jurisdiction } = issuer
    if (firstNoun(claims.noun) !== noun || claims.name !== name || claims.jurisdiction !== jurisdiction)
      throw invalidCapability('it is of another object')
    return claims
  }

  /** Goes a grant's way and stands its guard before what is there. In a box: see {@link follow}. */
  async #reach(row: GrantRow, root: object): Promise<{ value: object }> {
    const ports = this.#ports
    let at: unknown = root
    for (const step of decodeValue(row.path) as SavedStep[]) {
      if ('grant' in step) at = (await this.#reach(this.#rowOf(step.grant), root)).value
      else if ('narrow' in step)
        at = restrict(
          at,
          guardOf(step.narrow, () => ports.now(), this.#counter(row.id, step.place, step.narrow)),
          ports,
          at !== root,
        )
      else at = (await follow(at, step)).value
    }
    const found: unknown = at instanceof RpcPromise ? await at : at
    if (!isCapability(found)) throw notSavable('what its way leads to is data, and no capability')
    return { value: restrict(found, this.#guard(row), ports, found !== root) }
  }

  #saveSteps(
    path: readonly RecordedStep[],
    now: number,
    by: string | undefined,
  ): { steps: SavedStep[]; uses: (number | null)[]; parent?: string } {
    if (!Array.isArray(path)) throw notSavable('it does not say which calls lead to it')
    const uses: (number | null)[] = []
    let parent: string | undefined
    const steps = (path as RecordedStep[]).map((recorded, index): SavedStep => {
      const [name, args] = recorded
      if (name === restoreName && index === 0) {
        parent = this.#present(args?.[0], args?.[1], by).id
        if (this.#lineage(parent).length >= maxGenerations)
          throw notSavable(`it was restored and saved ${maxGenerations} times over, which is the most`)
        return { grant: parent }
      }
      if (name !== narrowName) return saveStep(recorded)
      const narrow = readCaveats(args?.[0], now)
      return { narrow, place: uses.push(narrow.uses ?? null) - 1 }
    })
    return { steps, uses, ...(parent !== undefined && { parent }) }
  }

  #guard(row: GrantRow): Guard {
    const caveats = decodeValue(row.caveats) as ReadCaveats
    const places = (JSON.parse(row.uses_left) as unknown[]).length
    const own = guardOf(caveats, () => this.#ports.now(), this.#counter(row.id, places - 1, caveats))
    const here = () => {
      if (this.#rowOf(row.id).revoked_at !== null) throw revoked()
    }
    return {
      named: own.named,
      ends: true,
      looksAt: (name) => own.looksAt(name),
      alive: () => (here(), own.alive()),
      check: (name, args) => (here(), own.check(name, args)),
      take: () => (own.take(), this.#noteUse(row.id)),
    }
  }

  #counter(id: string, place: number, caveats: ReadCaveats): UseCounter | undefined {
    if (caveats.uses === undefined) return undefined
    const all = () => JSON.parse(this.#rowOf(id).uses_left) as number[]
    return {
      left: () => all()[place] ?? 0,
      take: () => {
        const left = all()
        left[place] = (left[place] ?? 0) - 1
        this.#sql('UPDATE dotdo_grants SET uses_left = ? WHERE id = ?', JSON.stringify(left), id)
        const now = this.#ports.clock.now()
        if (left[place] <= 0) this.#sql('UPDATE dotdo_grants SET over_at = ? WHERE id = ? AND coalesce(over_at, ?) >= ?', now, id, now, now)
      },
    }
  }

  #noteUse(id: string): void {
    const now = this.#ports.clock.now()
    this.#sql('UPDATE dotdo_grants SET used_at = ? WHERE id = ? AND coalesce(used_at, 0) <= ?', now, id, now - usedStepMs)
  }

  /** Forgets a slice of those that have been over for long enough. Answers whether there may be more. */
  sweep(): boolean {
    return this.#exists() && this.#prune(this.#ports.clock.now())
  }

  /** When {@link sweep} has something to forget, epoch milliseconds; null where nothing is over, or will be by itself. */
  nextSweepMs(): number | null {
    if (!this.#exists()) return null
    const at = this.#sql<{ at: number | null }>('SELECT min(over_at) AS at FROM dotdo_grants WHERE over_at IS NOT NULL')[0]!.at
    return at === null ? null : at + (this.#ports.keepOverMs ?? keepOverDefaultMs)
  }

  #prune(now: number): boolean {
    const over = 'SELECT id FROM dotdo_grants WHERE over_at < ? ORDER BY over_at LIMIT (? + 0)'
    return (
      this.#sql(
        `DELETE FROM dotdo_grants WHERE id IN (${over}) RETURNING id`,
        now - (this.#ports.keepOverMs ?? keepOverDefaultMs),
        pruneBite,
      ).length === pruneBite
    )
  }

  /** Whether anything was ever handed out. */
  #exists(): boolean {
    return this.#migrated || this.#ports.store.sql(`SELECT 1 FROM sqlite_master WHERE name = 'dotdo_grants'`).length > 0
  }

  /** A grant and those that it leads through, itself first. */
  #lineage(id: string | undefined): GrantRow[] {
    const rows: GrantRow[] = []
    for (let at = id; at !== undefined; at = rows.at(-1)!.parent ?? undefined) rows.push(this.#rowOf(at))
    return rows
  }

  #row(id: string): GrantRow | undefined {
    return this.#sql<GrantRow>('SELECT * FROM dotdo_grants WHERE id = ?', id)[0]
  }

  #rowOf(id: string): GrantRow {
    const row = this.#row(id)
    if (!row) throw revoked()
    return row
  }

  #makeRoom(now: number): void {
    this.#prune(now)
    const count = Number(this.#sql('SELECT count(*) AS count FROM dotdo_grants')[0]!.count)
    if (count < maxGrants) return
    throw new DotdoError(
      'TOO_MANY_GRANTS',
      `${this.#label} has handed out ${count} capabilities that are still kept; ${maxGrants} is the most. Save them with an \`until\`: what is over is forgotten after 30 days.`,
      { data: { count, limit: maxGrants } },
    )
  }

  #view(row: GrantRow, now: number): GrantView {
    const left = (JSON.parse(row.uses_left) as (number | null)[]).filter((it) => it !== null)
    const holder = row.holder === null ? undefined : (JSON.parse(row.holder) as StoredHolder)
    return {
      ...this.#ports.issuer,
      id: row.id,
      path: printPath(decodeValue(row.path) as SavedStep[]),
      caveats: decodeValue(row.caveats) as ReadCaveats,
      status: this.#statusOf(row, now),
      createdAt: row.created_at,
      ...(row.label !== null && { label: row.label }),
      ...(holder && { holder: 'object' in holder ? { object: holder.object } : 'secret' }),
      ...(row.by !== null && { by: row.by }),
      ...(row.parent !== null && { parent: row.parent }),
      ...(left.length > 0 && { usesLeft: Math.min(...left) }),
      ...(row.used_at !== null && { usedAt: row.used_at }),
      ...(row.revoked_at !== null && { revokedAt: row.revoked_at }),
    }
  }

  #statusOf(row: GrantRow, now: number): GrantView['status'] {
    if (row.revoked_at !== null) return 'revoked'
    if (row.expires_at !== null && row.expires_at <= now) return 'expired'
    if ((JSON.parse(row.uses_left) as (number | null)[]).some((it) => it !== null && it <= 0)) return 'used up'
    if (row.parent === null) return 'live'
    const parent = this.#row(row.parent)
    return parent ? this.#statusOf(parent, now) : 'revoked'
  }

  get #label(): string {
    return objectLabel(this.#ports.issuer)
  }

  /** The table is made when it is first needed: most objects never hand anything out. */
  #sql<Row extends SqlRow = SqlRow>(statement: string, ...parameters: (string | number | null)[]): Row[] {
    if (!this.#migrated) migrate(this.#ports.store, 'grants', grantMigrations)
    this.#migrated = true
    return this.#ports.store.sql<Row>(statement, ...parameters)
  }
}

function readLabel(label: unknown): string | undefined {
  if (label === undefined) return undefined
  if (typeof label === 'string' && label.length <= maxLabel) return label
  throw invalid('label', `must be a text of up to ${maxLabel} characters`)
}
