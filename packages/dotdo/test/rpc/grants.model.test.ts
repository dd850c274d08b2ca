/** Any sequence of narrowing, saving, restoring, revoking and calling, against a model that knows nothing of how it is done. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { codeOf } from '../../src/base/errors.ts'
import { Grants, restoreName } from '../../src/rpc/grants.ts'
import { narrowName, readGuard, restrict } from '../../src/rpc/narrow.ts'
import type { RecordedStep } from '../../src/rpc/saved-path.ts'
import { world } from './grants-world.ts'

const names = ['read', 'write', 'size', 'part', 'parts'] as const

/** Caveats as an action has them: `until` in seconds from then, `reads` the only argument that `read` takes. */
interface Given {
  only?: string[]
  until?: number
  uses?: number
  reads?: number
}

/** One set of caveats in force. Shared by all capabilities that it is in force on. */
interface Layer {
  only: string[] | undefined
  until: number | undefined
  left: number | undefined
  reads: number | undefined
  revoked: boolean
}

/** What limits a capability, and what only ends it. */
interface Limits {
  layers: Layer[]
  mortal: Layer[]
}

type Move = { kind: 'restore'; token: Token } | { kind: 'narrow'; given: Given } | { kind: 'part' }

interface Token {
  text: string
  moves: Move[]
  /** The layers of its moves that narrow, by their index, and its own. */
  narrowed: Map<number, Layer>
  own: Layer
}

interface Held extends Limits {
  cap: unknown
  moves: Move[]
}

class Refused {
  codes: Set<string>
  constructor(codes: Set<string>) {
    this.codes = codes
  }
}

const layerOf = (given: Given): Layer => ({ only: given.only, until: given.until, left: given.uses, reads: given.reads, revoked: false })

function ended(layers: Layer[], now: number): Set<string> {
  const codes = new Set<string>()
  for (const layer of layers) {
    if (layer.revoked) codes.add('CAPABILITY_REVOKED')
    if (layer.until !== undefined && layer.until <= now) codes.add('CAPABILITY_EXPIRED')
  }
  return codes
}

/** The codes of everything that speaks against a call; none where it may be made. */
function against({ layers, mortal }: Limits, name: string, n: number, now: number): Set<string> {
  const codes = ended([...layers, ...mortal], now)
  for (const layer of layers) {
    if (layer.only && !layer.only.includes(name)) codes.add('CAPABILITY_DENIED')
    if (layer.left !== undefined && layer.left <= 0) codes.add('CAPABILITY_USED_UP')
    if (name === 'read' && layer.reads !== undefined && layer.reads !== n) codes.add('CAPABILITY_DENIED')
  }
  return codes
}

function call(limits: Limits, name: string, n: number, now: number): Limits {
  const codes = against(limits, name, n, now)
  if (codes.size > 0) throw new Refused(codes)
  for (const layer of limits.layers) if (layer.left !== undefined) layer.left--
  return { layers: [], mortal: [...limits.mortal, ...limits.layers] }
}

/** A token and those that it was made from. */
function lineage(token: Token): Token[] {
  const [first] = token.moves
  return first?.kind === 'restore' ? [token, ...lineage(first.token)] : [token]
}

function restore(token: Token, now: number): Limits {
  const codes = ended(
    lineage(token).map((it) => it.own),
    now,
  )
  if (codes.size > 0) throw new Refused(codes)
  let at: Limits = { layers: [], mortal: [] }
  for (const [index, move] of token.moves.entries()) {
    if (move.kind === 'restore') at = restore(move.token, now)
    else if (move.kind === 'part') at = call(at, 'part', 0, now)
    else at = { layers: [...at.layers, token.narrowed.get(index)!], mortal: at.mortal }
  }
  return { layers: [...at.layers, token.own], mortal: at.mortal }
}

const written = ({ only, until, uses, reads }: Given) => ({
  ...(only && { only }),
  ...(until !== undefined && { until }),
  ...(uses !== undefined && { uses }),
  ...(reads !== undefined && { where: { read: [reads] } }),
})

const stepOf = (move: Move): RecordedStep => {
  if (move.kind === 'restore') return [restoreName, [move.token.text]]
  return move.kind === 'part' ? ['part', ['p']] : [narrowName, [written(move.given)]]
}

const caveats = fc.record(
  {
    only: fc.subarray([...names], { minLength: 2 }),
    until: fc.integer({ min: 1, max: 200 }),
    uses: fc.integer({ min: 1, max: 6 }),
    reads: fc.integer({ min: 1, max: 2 }),
  },
  { requiredKeys: [] },
) as fc.Arbitrary<Given>
const pick = fc.nat(1000)
const is = <Kind extends string>(kind: Kind) => fc.constant(kind)
const action = fc.oneof(
  { weight: 3, arbitrary: fc.record({ kind: is('narrow'), at: pick, given: caveats }) },
  { weight: 3, arbitrary: fc.record({ kind: is('save'), at: pick, given: caveats }) },
  { weight: 4, arbitrary: fc.record({ kind: is('restore'), at: pick }) },
  { weight: 1, arbitrary: fc.record({ kind: is('revoke'), at: pick, byToken: fc.boolean() }) },
  { weight: 12, arbitrary: fc.record({ kind: is('call'), at: pick, name: fc.constantFrom(...names), n: fc.integer({ min: 1, max: 2 }) }) },
  { weight: 1, arbitrary: fc.record({ kind: is('wait'), seconds: fc.integer({ min: 1, max: 30 }) }) },
  { weight: 1, arbitrary: fc.record({ kind: is('restart') }) },
)

test('grants do what the model says, and the object is called exactly as often', async () => {
  const seen = { calls: 0, restored: 0, derived: 0, refused: new Map<string, number>() }
  await fc.assert(
    fc.asyncProperty(fc.array(action, { minLength: 20, maxLength: 60, size: 'max' }), async (actions) => {
      const { clock, log, ports, root } = world()
      let grants = new Grants(ports)
      const tokens: Token[] = []
      const start = (): Held => ({ cap: root, layers: [], mortal: [], moves: [] })
      let held = [start()]
      const expected: unknown[] = []
      const absolute = (given: Given): Given => ({
        ...given,
        ...(given.until !== undefined && { until: clock.now() + given.until * 1000 }),
      })

      /** Does one thing in both worlds: either both do it, or both refuse, for a reason that the model knows. */
      const both = async <T, M>(real: () => T | Promise<T>, model: () => M): Promise<{ real: T; model: M } | undefined> => {
        let told: { model: M } | Refused
        try {
          told = { model: model() }
        } catch (refused) {
          if (!(refused instanceof Refused)) throw refused
          told = refused
        }
        const done = await Promise.resolve()
          .then(real)
          .then(
            (value) => ({ value }),
            (error: unknown) => ({ error }),
          )
        if ('error' in done) {
          const code = codeOf(done.error)
          if (code === undefined) throw done.error
          expect(told instanceof Refused ? [...told.codes] : ['allowed']).toContain(code)
          seen.refused.set(code, (seen.refused.get(code) ?? 0) + 1)
          return undefined
        }
        expect(told instanceof Refused ? [...told.codes] : []).toEqual([])
        return { real: done.value, model: (told as { model: M }).model }
      }

      for (const it of actions) {
        const from = 'at' in it ? held[it.at % held.length]! : held[0]!
        const token = 'at' in it ? tokens[it.at % tokens.length] : undefined
        if (it.kind === 'wait') clock.advance(it.seconds * 1000)
        if (it.kind === 'restart') {
          // Sessions end with the object; what is in its table stays.
          grants = new Grants(ports)
          held = [start()]
        }
        if (it.kind === 'narrow') {
          const given = absolute(it.given)
          const cap = restrict(from.cap, readGuard(written(given), ports), ports)
          held.push({
            cap,
            layers: [...from.layers, layerOf(given)],
            mortal: from.mortal,
            moves: [...from.moves, { kind: 'narrow', given }],
          })
        }
        if (it.kind === 'save') {
          const given = absolute(it.given)
          const [first] = from.moves
          const done = await both(
            () => grants.issue({ path: from.moves.map(stepOf), caveats: written(given) }),
            () => {
              const codes =
                first?.kind === 'restore'
                  ? ended(
                      lineage(first.token).map(({ own }) => own),
                      clock.now(),
                    )
                  : new Set<string>()
              if (codes.size > 0) throw new Refused(codes)
            },
          )
          // What is narrowed on the way has its uses once for each grant, whoever restores it.
          const narrowed = new Map(from.moves.flatMap((move, index) => (move.kind === 'narrow' ? [[index, layerOf(move.given)]] : [])))
          if (done) tokens.push({ text: done.real, moves: from.moves, narrowed, own: layerOf(given) })
          if (done && first?.kind === 'restore') seen.derived++
        }
        if (it.kind === 'restore' && token) {
          const done = await both(
            () => grants.restore(token.text, root),
            () => restore(token, clock.now()),
          )
          if (done) held.push({ cap: done.real, ...done.model, moves: [{ kind: 'restore', token }] })
          if (done) seen.restored++
        }
        if (it.kind === 'revoke' && token) {
          const { id } = JSON.parse(Buffer.from(token.text.split('.')[1]!, 'base64url').toString()) as { id: string }
          const isLive = !token.own.revoked && (token.own.until ?? Infinity) > clock.now() && (token.own.left ?? 1) > 0
          const isOver = [...token.narrowed.values()].some(({ left }) => left !== undefined && left <= 0)
          const told = grants.revoke(it.byToken ? token.text : id)
          if (!isOver) expect(told).toBe(isLive)
          if (told) token.own.revoked = true
        }
        if (it.kind === 'call') {
          const target = from.cap as Record<string, (n: unknown) => unknown> & { size: number }
          const done = await both<unknown, Limits>(
            () => (it.name === 'size' ? target.size : target[it.name]!(it.name === 'part' ? 'p' : it.n)),
            () => call(from, it.name, it.n, clock.now()),
          )
          if (!done) continue
          seen.calls++
          if (it.name === 'size') expected.push([expect.any(String), 'size'])
          if (it.name === 'read' || it.name === 'write') expected.push([expect.any(String), it.name, it.n])
          const found = it.name === 'part' ? done.real : it.name === 'parts' ? (done.real as { list: unknown[] }).list[0] : undefined
          if (found !== undefined) held.push({ cap: found, ...done.model, moves: [...from.moves, { kind: 'part' }] })
        }
      }
      expect(log).toEqual(expected)
    }),
    { numRuns: 300 },
  )
  // The property is about something: all of it happens often.
  expect(seen.calls).toBeGreaterThan(1000)
  expect(seen.restored).toBeGreaterThan(300)
  expect(seen.derived).toBeGreaterThan(100)
  expect(
    [...seen.refused]
      .filter(([, count]) => count > 50)
      .map(([code]) => code)
      .sort(),
  ).toEqual(['CAPABILITY_DENIED', 'CAPABILITY_EXPIRED', 'CAPABILITY_REVOKED', 'CAPABILITY_USED_UP'])
})
