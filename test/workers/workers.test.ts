/** One program over one Worker, over two that are joined by bindings, and over two that are joined by a service: the same answers. */
import { readFile, writeFile } from 'node:fs/promises'
import { execFile } from 'node:child_process'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { root, temporary } from '../support/app.ts'
import { startWorkers } from '../support/workers.ts'
import { layouts, startCounted, type CountedApp } from './apps.ts'

const failure = (promise: PromiseLike<unknown>): Promise<Error & { code?: string; data?: Record<string, unknown>; retryable?: boolean }> =>
  Promise.resolve(promise).then(
    (value) => Promise.reject(new Error(`no error but ${JSON.stringify(value)}`)),
    (error: unknown) => error as Error,
  )

const dry = { name: 'DotdoError', code: 'SOURCE_DRY', data: { id: 'dry' }, retryable: true }

describe.each(Object.entries(layouts))('%s', (layout, workers) => {
  let counted: CountedApp
  let pipeline: any
  beforeAll(async () => {
    counted = await startCounted(workers)
    pipeline = counted.running.app.Pipeline('main')
  })
  afterAll(() => counted?.[Symbol.asyncDispose]())

  test('a source, two stages, a table and a query give their answers', async () => {
    expect(await pipeline.everything()).toEqual({
      rows: 6,
      filled: [2, 2, 2],
      users: [
        { user: 'u0', n: 2, amount: 30 },
        { user: 'u1', n: 2, amount: 50 },
        { user: 'u2', n: 2, amount: 70 },
      ],
      stages: ['clean', 'enrich'],
    })
    expect(await counted.running.app.Warehouse('sales').rows()).toBe(6)
  })

  test('calls, properties, chains, and results as arguments', async () => {
    expect(await pipeline.add(1, 2)).toBe(3)
    expect(await pipeline.readName()).toBe('stage named')
    expect(await pipeline.chain(10)).toBe(10)
    expect(await pipeline.passage()).toBe(42)
    expect(await pipeline.nested(10)).toBe(11)
    expect(await pipeline.shared()).toEqual([2, 4, 6, 10])
    expect(await pipeline.handed(1000)).toBe(1000)
  })

  test('a result that several objects consume is made once, and a failure of its maker is theirs', async () => {
    expect(await pipeline.consumed(50)).toEqual({ counts: [50, 50, 50], extracted: 1 })
    expect(await failure(pipeline.handedFailure())).toMatchObject(dry)
  })

  test('a map over a result', async () => {
    expect(await pipeline.mapped(50)).toBe((50 * 49) / 2)
    expect(await pipeline.mappedBack(50)).toBe(50 * 49)
    expect(await pipeline.mappedOver(2)).toEqual([
      [0, 1],
      [2, 2],
    ])
    expect(await pipeline.mappedThrough(3)).toEqual([
      [0, 1],
      [3, 3],
      [6, 5],
    ])
  })

  test('capabilities in results and callbacks as arguments', async () => {
    expect(await pipeline.cursor()).toEqual([[0, 1], [2]])
    expect(await pipeline.callback(3)).toEqual({ rows: 3, done: [0, 1, 2] })
  })

  test('bytes stay bytes, and streams go both ways', async () => {
    expect(await pipeline.bytes(3_000_000)).toEqual(['Uint8Array', 3_000_000, 7])
    expect(await pipeline.streamed(20, 50_000)).toBe(1_000_000)
    expect(await pipeline.streamedTo(20, 50_000)).toBe(1_000_000)
  })

  test('calls on one reference take effect in their order, awaited or not', async () => {
    expect(await pipeline.ordered(100)).toEqual(Array.from({ length: 100 }, (_, i) => i))
  })

  test('a call that nobody awaits is delivered', async () => {
    await pipeline.forget('remember me')
    const end = Date.now() + 30_000
    while (!((await pipeline.forgotten()) as string[]).includes('remember me')) expect(Date.now()).toBeLessThan(end)
  })

  test('a fast answer does not wait for a slow one', async () => {
    expect(await pipeline.slowAndFast()).toEqual(['fast', 'slow'])
  })

  test('a stateless entrypoint of the user’s, its promises, and what it hands out can be arguments and results: the caller relays', async () => {
    expect(await pipeline.rateNow()).toEqual([42, 21])
    expect(await pipeline.ratePart()).toBe(4)
    const [own, ledger] = [
      { eur: 1, usd: 2 },
      { eur: 3, usd: 4 },
    ]
    expect(await pipeline.ratePassedOn()).toEqual([own, ledger, ledger, [own, ledger]])
    expect(await pipeline.rates().current()).toEqual(own)
    expect(await failure(pipeline.rateBroken())).toMatchObject({ code: 'RATES_CLOSED' })
  })

  test('errors arrive with their name, their code, their data, and whether trying again helps', async () => {
    expect(await failure(pipeline.fail())).toMatchObject(dry)
    expect(await failure(pipeline.missing())).toMatchObject({ code: 'METHOD_UNKNOWN', data: { noun: 'Source', method: 'nothing' } })
  })

  test('a noun that is nowhere is refused with the list of those that are somewhere', async () => {
    const beyond = layout === 'one Worker' ? [] : ['Bin', 'Vault']
    const nouns = ['Pipeline', 'Shard', 'Source', 'Stage', 'Warehouse', ...beyond].toSorted()
    expect(await failure(pipeline.nowhere())).toMatchObject({ code: 'NOUN_UNKNOWN', data: { noun: 'Nowhere', known: nouns } })
    expect(await counted.running.app.dotdo.describe()).toMatchObject({ nouns })
  })

  test('a client reaches the nouns of both, and the operator sees into their objects', async () => {
    const { app } = counted.running
    expect(await app.Stage('direct').double(4)).toBe(8)
    expect(await app.Stage('direct').next('other').name).toBe('stage other')
    expect(await app.dotdo.object('Stage', 'direct').describe()).toMatchObject({ noun: 'Stage', name: 'direct' })
  })

  test('a client watches an object of either', async () => {
    const { app } = counted.running
    const seen = Promise.withResolvers<unknown>()
    const subscription = app.watch('Stage', 'watched', { event: seen.resolve, refresh: () => seen.resolve('watching') })
    expect(await seen.promise).toBe('watching')
    subscription.close()
  })
})

describe('a service', () => {
  const joined = layouts['two, by service']

  test('offers what its Worker says, and nothing of the framework', async () => {
    await using running = await startWorkers(...joined)
    const { app } = running
    const known = ['Shard', 'Source', 'Stage']
    expect(await failure(app.Vault('x').notes())).toMatchObject({ code: 'NOUN_UNKNOWN', data: { noun: 'Vault', known } })
    expect(await failure(app.dotdo.object('Vault', 'x').describe())).toMatchObject({ code: 'NOUN_UNKNOWN', data: { known } })
    expect(await failure(app.DotdoSystem('tokens').redeem('x', 1))).toMatchObject({ code: 'NOUN_UNKNOWN' })
  })

  test('of another kind, or of none, is refused with what to write in wrangler.toml', async () => {
    const folder = await temporary('services')
    const original = (await readFile(join(root, joined[0]!.config), 'utf8')).replace(
      'main = "',
      `main = "${join(root, 'test/workers/pipeline/')}`,
    )
    const join2 = async (toml: string) => {
      await writeFile(join(folder.path, 'wrangler.toml'), toml)
      await using running = await startWorkers({ config: join(folder.path, 'wrangler.toml') }, joined[1]!)
      return await failure(running.app.Pipeline('main').add(1, 2))
    }
    expect(await join2(original.replace('\nentrypoint = "DotdoEntrypoint"', ''))).toMatchObject({
      code: 'LINK_VERSION',
      message: expect.stringContaining('entrypoint = "DotdoEntrypoint"'),
    })
    expect(await join2(original.replace('"STAGES"', '"OTHERS"'))).toMatchObject({
      code: 'SERVICE_INVALID',
      data: { noun: 'Stage', binding: 'STAGES' },
    })
    await folder.remove()
  })

  test.each(['two, by binding', 'two, by service'] as const)(
    '%s: a Worker of another release is told to be deployed again',
    async (name) => {
      const folder = await temporary('skew')
      const [pipeline, stages] = layouts[name]
      await built(stages!.config, folder.path)
      const bundle = join(folder.path, 'worker.js')
      const text = await readFile(bundle, 'utf8')
      const skewed = text.replace(/\b(linkVersion = )\d+;/, '$199;')
      expect(skewed).not.toBe(text)
      await writeFile(bundle, skewed)
      await using running = await startWorkers(pipeline!, { ...stages!, built: folder.path })
      expect(await failure(running.app.Pipeline('main').add(1, 2))).toMatchObject({
        code: 'LINK_VERSION',
        message: expect.stringMatching(/speaks link version 99.*Deploy both Workers with the same release/),
      })
      // The Worker itself is well: only what is between the two is refused.
      expect(await running.app.Warehouse('sales').rows()).toBe(0)
      await running.stop()
      await folder.remove()
    },
  )
})

/** Bundles a Worker as a deploy would. */
async function built(config: string, folder: string): Promise<void> {
  const wrangler = join(dirname(createRequire(import.meta.url).resolve('wrangler/package.json')), 'bin', 'wrangler.js')
  const env = { ...process.env, WRANGLER_WRITE_LOGS: 'false', WRANGLER_SEND_METRICS: 'false', CI: '1' }
  await promisify(execFile)(process.execPath, [wrangler, 'deploy', '--dry-run', '--config', config, '--outdir', folder], { cwd: root, env })
}
