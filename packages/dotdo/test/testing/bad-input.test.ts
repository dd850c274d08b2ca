/** What programs get wrong, where only a whole object shows what comes of it. */
import { afterEach, describe, expect, test } from 'vitest'
import { DO, serve, type ScheduleHandle } from '../../src/index.ts'
import { optionsIn } from '../../src/object/app.ts'
import { testApp } from '../../src/testing.ts'

let app: Awaited<ReturnType<typeof testApp>> | undefined
afterEach(() => app?.close())

/** Two halves of characters, which SQLite stores as one text. */
const [half, other] = ['\ud83d', '\ud83e']

const Loose = DO.extend({
  circle() {
    const circle: Record<string, unknown> = { list: [] }
    circle['list'] = [circle]
    return circle
  },
  async circleOfAStep() {
    return await this.do(() => this.circle(), { stepId: 'circle' })
  },
  nothing() {},
  init() {
    this.nightly = this.every.day(() => 1, { id: 'nightly' })
  },
  nightly: null as ScheduleHandle | null,
  trigger(options: object) {
    return this.nightly!.trigger(options)
  },
  again(options: object) {
    return this.runs.start('nothing').retry(options).status
  },
  begin(options: object, args: unknown = []) {
    return this.runs.start('nothing', args as [], options).runId
  },
  tell(options: object) {
    return this.send('Loose.told', 1, options)
  },
  async both() {
    return [await this.do(() => half, { stepId: `load ${half}` }), await this.do(() => other, { stepId: `load ${other}` })]
  },
  async limited(key: string) {
    return await this.do(() => 1, { stepId: 'limited', rateLimit: { key, limit: 1, per: '1h' } })
  },
})

test('a result that is a circle is refused to whoever asked for it, and hurts nobody else', async () => {
  // What nobody is told of would end the process, and with it this test.
  app = await testApp({ Loose })
  for (const method of ['circle', 'circleOfAStep'] as const)
    await expect(app.until(app.Loose('main')[method]())).rejects.toMatchObject({ code: 'NOT_SENDABLE' })
  expect(await app.Loose('main').nothing()).toBeUndefined()
})

interface Stub {
  begin(options: unknown, args?: unknown): Promise<string>
  tell(options: object): Promise<string>
  both(): Promise<string[]>
  trigger(options: object): Promise<string>
  again(options: object): Promise<string>
  limited(key: string): Promise<number>
}

describe('names that are no Unicode are refused: two of them would be one to SQLite, and the second would get what the first has come to', () => {
  test.each([
    ['a step', 'INVALID_STEP_ID', (loose: Stub) => loose.both()],
    ['a run', 'INVALID_RUN_ID', (loose: Stub) => loose.begin({ runId: half })],
    ["a run's key", 'INVALID_RUN_ID', (loose: Stub) => loose.begin({ key: half })],
    ['a tag', 'INVALID_RUN_TAGS', (loose: Stub) => loose.begin({ tags: [half] })],
    ["an event's key", 'INVALID_EVENT_KEY', (loose: Stub) => loose.tell({ key: half })],
    ['a limit', 'INVALID_STEP_OPTIONS', (loose: Stub) => loose.limited(half)],
  ] as const)('%s: %s', async (_, code, call) => {
    app = await testApp({ Loose })
    await expect(app.until<unknown>(call(app.Loose('main') as unknown as Stub))).rejects.toMatchObject({ code })
  })

  test('a schedule: INVALID_SCHEDULE', async () => {
    const Odd = DO.extend({
      init() {
        this.every.day(() => 1, { id: half })
      },
      nothing() {},
    })
    app = await testApp({ Odd })
    await expect(app.Odd('main').nothing()).rejects.toMatchObject({ code: 'INIT_FAILED', data: { error: { code: 'INVALID_SCHEDULE' } } })
  })
})

describe('an option that there is not is refused by name', () => {
  test.each<[string, object, string]>([
    ['of serve', { singleton: { Loose: ['main'] } }, 'singleton'],
    ['of limits', { limits: { objects: {} } }, 'objects'],
    ['of one of the limits', { limits: { object: { runsUnderway: 5 } } }, 'runsUnderway'],
    ['of the index', { fleet: { shard: 4 } }, 'shard'],
    ['in the place of a list', { singletons: { Loose: 'main' } }, 'Loose'],
  ])('%s: SERVE_INVALID', (_, options, option) => {
    expect(() => serve(options as never)).toThrow(expect.objectContaining({ code: 'SERVE_INVALID', data: { option } }) as Error)
  })

  test('of a retry: INVALID_RUN_OPTIONS', async () => {
    app = await testApp({ Loose })
    await expect((app.Loose('main') as unknown as Stub).again({ budgets: {} })).rejects.toMatchObject({
      code: 'INVALID_RUN_OPTIONS',
      data: { option: 'budgets' },
    })
  })

  test("of a handler's retries: INVALID_RETRIES", async () => {
    const Odd = DO.extend({
      init() {
        this.on.Loose.told(() => 1, { retries: { limits: 3 } as never })
      },
      nothing() {},
    })
    app = await testApp({ Odd })
    await expect(app.Odd('main').nothing()).rejects.toMatchObject({ code: 'INIT_FAILED', data: { error: { code: 'INVALID_RETRIES' } } })
  })

  test.each([
    ['of a start', 'INVALID_RUN_OPTIONS', (loose: Stub) => loose.begin({ kee: 'once' })],
    ['in the place of options', 'INVALID_RUN_OPTIONS', (loose: Stub) => loose.begin('once')],
    ['in the place of arguments', 'INVALID_RUN_OPTIONS', (loose: Stub) => loose.begin({}, { first: 1 })],
    ['of a send', 'INVALID_EVENT_KEY', (loose: Stub) => loose.tell({ kee: 'once' })],
    ['of a run by hand', 'INVALID_SCHEDULE', (loose: Stub) => loose.trigger({ budgets: {} })],
  ] as const)('%s: %s', async (_, code, call) => {
    app = await testApp({ Loose }, { at: '2026-01-01T12:00Z' })
    await expect(call(app.Loose('main') as unknown as Stub)).rejects.toMatchObject({
      code,
      data: expect.not.objectContaining({ option: 'key' }) as object,
    })
    expect(app.runs()).toEqual([])
  })
})

test('the file of a one-file app says all that serve takes, and what else it exports is its own', () => {
  const module = { default: Loose, keep: { runs: '7d' }, deploys: 'pin', helper: () => 1 }
  expect(optionsIn(module)).toEqual({ singletons: { Pipeline: ['main'] }, keep: { runs: '7d' }, deploys: 'pin' })
})

describe('64 MiB and more where a few words belong are refused by name or cut, before anything of them is stored', () => {
  /** Made where it is used: it would not cross to the object. */
  const long = (): string => 'x'.repeat(64 * 1024 * 1024 + 1)
  const Large = DO.extend({
    nothing() {},
    storedBytes() {
      return this.ctx.storage.sql.databaseSize
    },
    argument() {
      return this.runs.start('nothing', [long()] as never).runId
    },
    child() {
      return this.runs.call('nothing', [long()] as never, { stepId: 'child' })
    },
    event() {
      return this.send('Large.told', { text: long() })
    },
    eventKey() {
      return this.send('Large.told', 1, { key: long() })
    },
    eventType() {
      return this.send(`Large.${long()}`, 1)
    },
    runId() {
      return this.runs.start('nothing', [], { runId: long() }).runId
    },
    tag() {
      return this.runs.start('nothing', [], { tags: [long()] }).runId
    },
    stepId() {
      return this.do(() => 1, { stepId: long() })
    },
    input() {
      return this.do(() => 1, { stepId: 'step', input: long() })
    },
    checkpoint() {
      return this.do(({ checkpoint }) => checkpoint(long()), { stepId: 'step', retries: { limit: 0 } })
    },
    result() {
      return this.do(() => ({ text: long() }), { stepId: 'step', retries: { limit: 0 } }).then(() => 'stored')
    },
    async progress() {
      return await this.do(({ progress }) => progress({ at: long() }), { stepId: 'step' })
    },
    async message() {
      return await this.do(
        () => {
          throw Object.assign(new Error(long()), { code: 'MINE', retryable: false, data: { text: long() } })
        },
        { stepId: 'step' },
      )
    },
    match() {
      return this.waitFor('Large.told', { stepId: 'wait', match: { text: long() } })
    },
    rate() {
      return this.do(() => 1, { stepId: 'step', rateLimit: { key: long(), limit: 1, per: '1h' } })
    },
  })

  test.each([
    ['argument', 'RESULT_TOO_LARGE'],
    ['child', 'RESULT_TOO_LARGE'],
    ['event', 'PAYLOAD_TOO_LARGE'],
    ['eventKey', 'INVALID_EVENT_KEY'],
    ['eventType', 'INVALID_EVENT_TYPE'],
    ['runId', 'INVALID_RUN_ID'],
    ['tag', 'INVALID_RUN_TAGS'],
    ['stepId', 'INVALID_STEP_ID'],
    ['input', undefined],
    ['checkpoint', 'RESULT_TOO_LARGE'],
    ['result', 'RESULT_TOO_LARGE'],
    ['progress', undefined],
    ['message', 'MINE'],
    ['match', 'INVALID_STEP_OPTIONS'],
    ['rate', 'INVALID_STEP_OPTIONS'],
  ] as const)('%s: %s', async (method, code) => {
    app = await testApp({ Large })
    const large = app.Large('main') as unknown as Record<string, () => Promise<unknown>>
    const told = (error: { code?: string; message: string }) => error
    const error = await app.until(large[method]!().then(() => undefined, told))
    expect(error?.code).toBe(code)
    expect(error?.message.length ?? 0).toBeLessThan(10_000)
    expect(JSON.stringify(app.runs()).length).toBeLessThan(50_000)
    expect(await large['storedBytes']!()).toBeLessThan(1024 * 1024)
  })
})
