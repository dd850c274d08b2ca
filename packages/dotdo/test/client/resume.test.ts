/** Calls over a network that breaks between any two frames. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { codeOf } from '../../src/base/errors.ts'
import { connectOver } from '../../src/client/connect.ts'
import type { ConnectionStatus } from '../../src/client/options.ts'
import { Network, type Weather } from './network.ts'

type Kind = 'add' | 'slow' | 'chain' | 'slow chain' | 'fail' | 'plain' | 'wait'
interface Op {
  kind: Kind
  object: string
}
interface Called extends Op {
  n: number
  outcome: { answered: unknown } | { failed: string } | undefined
}

const keyed = new Set<Kind>(['add', 'slow', 'chain', 'slow chain', 'fail'])

/** Runs a program of calls in this weather until nothing is left to happen. */
async function run(program: Op[], weather: Weather) {
  const network = new Network(weather)
  const seen: ConnectionStatus[] = []
  const unawaited: unknown[] = []
  const app = connectOver(
    'http://app.example',
    { token: 'token', giveUpMs: 240_000, onStatus: (status) => seen.push(status), onFailure: (error) => unawaited.push(error) },
    network.ports,
  )
  const called: Called[] = []
  const call = ({ kind, object }: Op, n: number): PromiseLike<unknown> => {
    const thing = app['Thing'](object)
    if (kind === 'add') return thing.add(n)
    if (kind === 'slow') return thing.slow(n)
    if (kind === 'chain') return thing.part().add(n)
    if (kind === 'slow chain') return thing.part().slow(n)
    if (kind === 'fail') return thing.fail(n)
    return thing.tell(n, async () => {})
  }
  for (const [n, op] of program.entries()) {
    if (op.kind === 'wait') {
      for (let i = 0; i < 8; i++) await network.step()
      continue
    }
    const made: Called = { ...op, n, outcome: undefined }
    called.push(made)
    call(op, n).then(
      (value) => void (made.outcome = { answered: value }),
      (error: unknown) => void (made.outcome = { failed: codeOf(error) ?? (error as Error).message }),
    )
    // Some calls are made in one turn, others not.
    if (n % 3 === 0) await network.step()
  }
  for (let i = 0; i < 300; i++) await network.step()
  network.calm()
  // A call that was under way in an object that died never ends, as long as its connection stands.
  for (let i = 0; i < 2000 && (await network.step()) && called.some(({ outcome }) => !outcome); i++);
  return { network, app, called, seen, unawaited }
}

const op = fc.record({
  kind: fc.constantFrom<Kind>('add', 'add', 'slow', 'chain', 'slow chain', 'fail', 'plain', 'wait'),
  object: fc.constantFrom('a', 'b'),
})
const program = fc.array(op, { minLength: 1, maxLength: 25 })

/** What holds whatever happens: at most one effect, and one exactly where there is an answer, which is the right one. */
function check({ network, called }: Awaited<ReturnType<typeof run>>): void {
  for (const { kind, object, n, outcome } of called) {
    const { effects } = network.object(object)
    const count = effects.filter((it) => it === n).length
    expect(outcome, `call ${n} (${kind}) was told`).toBeDefined()
    expect(count, `effects of call ${n} (${kind})`).toBeLessThanOrEqual(1)
    if ('answered' in outcome!) expect(outcome.answered).toBe(effects.indexOf(n) + 1)
    if ('failed' in outcome! && outcome.failed === `failed ${n}`) expect(count).toBe(1)
  }
  // Calls that were answered took effect in the order in which they were made.
  for (const [name, { effects }] of network.objects) {
    const answered = called
      .filter((it) => it.object === name && keyed.has(it.kind) && it.outcome && 'answered' in it.outcome)
      .map(({ n }) => n)
    const places = answered.map((n) => effects.indexOf(n))
    expect(places).toEqual(places.toSorted((a, b) => a - b))
  }
}

describe('whatever breaks, and wherever', () => {
  test('a call on an object takes effect once and is answered, in the order of the calls; another does or rejects', async () => {
    await fc.assert(
      fc.asyncProperty(program, fc.integer(), async (program, seed) => {
        const ran = await run(program, { seed, breaks: 4, restarts: 0 })
        check(ran)
        for (const { kind, n, outcome } of ran.called) {
          if (kind === 'fail') expect(outcome).toEqual({ failed: `failed ${n}` })
          else if (keyed.has(kind)) expect(outcome).toEqual({ answered: expect.any(Number) })
          else if ('failed' in outcome!) expect(outcome.failed).toBe('LINK_LOST')
        }
        ran.app.close()
        expect(ran.network.timers).toBe(0)
        expect(ran.unawaited).toEqual([])
      }),
      { numRuns: 250 },
    )
  })

  test('objects that restart in between refuse what they cannot tell, and nothing takes effect twice', async () => {
    const refusals = new Set<string>()
    await fc.assert(
      fc.asyncProperty(program, fc.integer(), async (program, seed) => {
        const ran = await run(program, { seed, breaks: 4, restarts: 3 })
        // Here it does.
        ran.app.close()
        await new Promise((resolve) => setImmediate(resolve))
        check(ran)
        for (const { outcome } of ran.called) if (outcome && 'failed' in outcome) refusals.add(outcome.failed.replace(/\d+/, 'n'))
      }),
      { numRuns: 250 },
    )
    expect([...refusals].sort()).toEqual(['CALL_INTERRUPTED', 'LINK_LOST', 'failed n'])
  })

  test('a connection that breaks each time a call is in it gives up after five', async () => {
    const { called, seen } = await run([{ kind: 'slow', object: 'a' }], { seed: 1, breaks: 0, restarts: 0 })
    expect(called[0]!.outcome).toEqual({ answered: 1 })
    expect(seen).toEqual(['connecting', 'open'])
    const stormy = await run(
      Array.from({ length: 5 }, () => ({ kind: 'slow', object: 'a' }) as const),
      { seed: 3, breaks: 10_000, restarts: 0 },
    )
    check(stormy)
    expect(stormy.called.some(({ outcome }) => outcome && 'failed' in outcome && outcome.failed === 'LINK_LOST')).toBe(true)
  })
})

test('a connection that was taken away without a word is noticed, for any kind of call', async () => {
  for (const kind of ['add', 'plain'] as const) {
    // Seeds in which the one break is of that kind are among these.
    for (let seed = 0; seed < 40; seed++) {
      const { called, app } = await run([{ kind, object: 'a' }], { seed, breaks: 1, restarts: 0 })
      expect(called[0]!.outcome, `${kind}, seed ${seed}`).toBeDefined()
      app.close()
    }
  }
})
