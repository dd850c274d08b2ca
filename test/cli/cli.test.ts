/** `npx dotdo` against an app that runs: each command, what it prints for people and for programs, and its exit code. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { sessionToken, startWorker, until, type RunningApp } from '../support/app.ts'
import { commands } from '../../packages/dotdo/src/cli/cli.ts'
import { tcpProxy } from '../support/tcp-proxy.ts'
import { wordsOf } from '../support/words.ts'
import { endAll, objects, start, type Ended } from './support.ts'

/** The app's key, which nobody may read. */
const canary = 'canary-5b1f0c77e2'
let app: RunningApp
let env: Record<string, string>
beforeAll(async () => {
  app = await startWorker(fileURLToPath(new URL('app/wrangler.toml', import.meta.url)), { API_KEY: canary })
  env = { DOTDO_URL: app.url, DOTDO_TOKEN: app.token }
})
afterAll(() => app?.stop())
afterEach(endAll)

const dotdo = (args: string[], more: Record<string, string> = {}): Promise<Ended> => start(args, { ...env, ...more }).ended
const pipeline = () => app.app.dotdo.object('Pipeline', 'main')
const lines = (text: string) => text.trimEnd().split('\n')

describe('trigger', () => {
  test('tells the id of the run, and how to look at it', async () => {
    const { code, out, err } = await dotdo(['trigger', 'Pipeline/main', 'daily'])
    expect([code, lines(out).length]).toEqual([0, 1])
    expect(out).toMatch(/^daily@/)
    expect(err).toBe(`Look at it: npx dotdo run Pipeline/main ${out}`)
  })

  test('--wait shows the run until it has ended, and gives 0 for one that is done', async () => {
    const { code, out, err } = await dotdo(['trigger', 'Pipeline/main', 'daily', '--wait'])
    expect(code, err).toBe(0)
    expect(out).toMatch(
      /^daily@.*\nPipeline\/main, schedule daily, started .*\n✓ done in .*\n├─ ✓ read .*\[\{"n":1\},\{"n":2\}\]\n└─ ✓ write .*\nresult \{"orders":2\}\n$/,
    )
    expect(err).toMatch(/^Run daily@.*\n(?:.*\n)*.*✓ step\.done {2}write/)
  })

  test('--wait gives 1 for one that has failed, and what an app says writes nothing on the terminal', async () => {
    const { code, out, err } = await dotdo(['trigger', 'Pipeline/main', 'faulty', '--wait'])
    expect(code).toBe(1)
    expect(out).toMatch(/✗ failed in .*\n├─ ✓ fill .*\n└─ ✗ pour .*\n {5}SPILLED: the milk is \\u001b\[2Jspilled\n/)
    expect(out + err).not.toContain('\u001b')
  })

  test('--wait --json is one object', async () => {
    const { code, out } = await dotdo(['trigger', 'Pipeline/main', 'faulty', '--wait', '--json'])
    expect(code).toBe(1)
    expect(objects(out)).toMatchObject([
      { object: 'Pipeline/main', status: 'failed', error: { code: 'SPILLED' }, steps: [{ stepId: 'fill' }, { stepId: 'pour' }] },
    ])
  })

  test('of a schedule that is none says which is the nearest', async () => {
    const { code, out, err } = await dotdo(['trigger', 'Pipeline/main', 'dialy'])
    expect([code, out, err]).toEqual([1, '', "SCHEDULE_UNKNOWN: Pipeline/main has no schedule 'dialy': 'daily' is the nearest.\n"])
    expect((await dotdo(['trigger', 'Pipeline/main', 'x'])).err).toContain('it has daily, faulty, slow.')
  })
})

describe('runs and run', () => {
  test('are listed newest first, and told apart by their state and their age', async () => {
    await dotdo(['trigger', 'Pipeline/main', 'daily', '--wait'])
    await dotdo(['trigger', 'Pipeline/main', 'faulty', '--wait'])
    const { code, out } = await dotdo(['runs'])
    expect(code).toBe(0)
    expect(lines(out)[0]).toMatch(/^STATUS +RUN +STARTED BY +STARTED +TOOK +ERROR$/)
    expect(lines(out)[1]).toMatch(/^✗ failed +faulty@\S+ +schedule faulty .*SPILLED/)
    const failed = objects((await dotdo(['runs', 'Pipeline/main', '--state', 'failed', '--json'])).out)
    expect(failed.length).toBeGreaterThan(0)
    expect(failed.every(({ status, object }) => status === 'failed' && object === 'Pipeline/main')).toBe(true)
    expect(objects((await dotdo(['runs', '--limit', '1', '--json'])).out)).toHaveLength(1)
    const none = await dotdo(['runs', '--state', 'held', '--since', '2020-01-01T00:00Z', 'Pipeline/main'])
    expect(none).toEqual({ code: 0, out: '', err: 'No held runs in that time of Pipeline/main.\n' })
  })

  test('and alerts are those of a time, by when they began', async () => {
    const before = new Date().toISOString()
    await dotdo(['trigger', 'Pipeline/main', 'faulty', '--wait'])
    const [{ startedAt }] = objects((await dotdo(['runs', 'Pipeline/main', '--limit', '1', '--json'])).out) as [{ startedAt: number }]
    const ids = async (...times: string[]) => objects((await dotdo(['runs', '--json', ...times])).out).map((run) => run['startedAt'])
    const [at, after] = [startedAt, startedAt + 1].map((instant) => new Date(instant).toISOString())
    // The end of a time is no part of it.
    expect(await ids('--since', before, '--until', at!)).toEqual([])
    expect(await ids('--since', before, '--until', after!)).toEqual([startedAt])
    const alerts = async (...times: string[]) => objects((await dotdo(['alerts', '--json', ...times])).out).length
    expect(await alerts('--since', '2020-01-01')).toBeGreaterThan(0)
    expect(await dotdo(['alerts', '--since', '2020-01-01', '--until', '2020-01-02'])).toEqual({
      code: 0,
      out: '',
      err: 'Nothing is wrong of that time.\n',
    })
  })

  test('what changed is told of a run that is held, and of no other', async () => {
    const { out } = await dotdo(['trigger', 'Pipeline/main', 'daily', '--wait', '--json'])
    const [{ runId }] = objects(out) as [{ runId: string }]
    expect(await dotdo(['run', 'Pipeline/main', runId, '--changes'])).toMatchObject({
      code: 1,
      out: '',
      err: expect.stringMatching(/^RUN_NOT_HELD: /) as string,
    })
  })

  test('a name that is misspelt is not looked at, which would bring an object of it to life with its schedules', async () => {
    await dotdo(['trigger', 'Pipeline/main', 'daily', '--wait'])
    expect(await dotdo(['runs', 'Pipeline/mian'])).toMatchObject({
      code: 1,
      out: '',
      err: expect.stringMatching(/^OBJECT_UNKNOWN: .* no Pipeline\/mian: there is Pipeline\/main\./) as string,
    })
    expect((await app.app.dotdo.fleet.objects({ object: 'Pipeline/mian' })).items).toEqual([])
  })

  test('one is found by the beginning of its id, in whichever singleton has it', async () => {
    const runId = await pipeline().trigger('daily')
    const { code, out } = await dotdo(['run', runId.slice(0, -2), '--wait', '--json'])
    expect(code).toBe(0)
    expect(objects(out)).toMatchObject([{ runId, status: 'done', object: 'Pipeline/main' }])
    expect((await dotdo(['run', 'Pipeline/main', runId])).out).toContain('✓ done')
    const many = await dotdo(['run', 'daily@'])
    expect(many.code).toBe(2)
    expect(many.err).toMatch(/^\d+ runs of Pipeline\/main begin with 'daily@': .* Write more of it\.\n$/)
    expect(await dotdo(['run', 'nowhere'])).toMatchObject({
      code: 1,
      err: expect.stringContaining("RUN_UNKNOWN: Pipeline/main has no run 'nowhere'.") as string,
    })
  })

  test('one that is cancelled ends those that wait for it with 1', async () => {
    const runId = await pipeline().trigger('slow')
    const waiting = start(['run', 'Pipeline/main', runId, '--wait'], env)
    const { code } = await dotdo(['run', 'Pipeline/main', runId, '--cancel'])
    expect(code).toBe(0)
    const ended = await waiting.ended
    expect([ended.code, ended.err]).toEqual([1, expect.anything()])
    expect(ended.out).toContain('⊘ cancelled')
  })

  test('one that has failed is taken up where it failed, and ends well when the reason is gone', async () => {
    const failed = await dotdo(['trigger', 'Pipeline/mender', 'faulty', '--wait', '--json'])
    const { runId } = objects(failed.out)[0] as { runId: string }
    expect(await dotdo(['run', 'Pipeline/mender', runId, '--retry', '--wait'])).toMatchObject({ code: 1 })
    await (app.app.Pipeline!('mender') as { mend(): Promise<void> }).mend()
    const ended = await dotdo(['run', 'Pipeline/mender', runId, '--retry', '--wait'])
    expect(ended.code, ended.err).toBe(0)
    expect(ended.out).toMatch(/├─ ✓ fill .*\n└─ ✓ pour .*\n(?: {5}attempt \d: SPILLED: .*\n){2}/)
  })

  test('Ctrl-C ends the waiting with 130, and not the run', async () => {
    const runId = await pipeline().trigger('slow')
    // What has come to the app takes signals by then.
    const way = await tcpProxy(app.url)
    const waiting = start(['run', 'Pipeline/main', runId, '--wait'], { ...env, DOTDO_URL: way.url })
    await until('it waits', async () => way.connections, Boolean)
    const logs = start(['logs', 'Pipeline/main', '--follow', '--limit', '1'], env)
    await logs.said(/step\.started {2}wait/)
    for (const { child } of [waiting, logs]) process.kill(-child.pid!, 'SIGINT')
    expect([(await waiting.ended).code, (await logs.ended).code]).toEqual([130, 130])
    expect((await pipeline().run(runId)).status).toBe('running')
    await pipeline().cancelRun(runId)
    await way.stop()
  })
})

describe('a budget', () => {
  test('ends a run that passes it with 1, says what it was, and is raised when the run is taken up', async () => {
    const { code, out } = await dotdo(['trigger', 'Pipeline/main', 'slow', '--budget', 'wall=50ms', '--wait'])
    expect(code).toBe(1)
    expect(out).toMatch(/BUDGET_EXCEEDED: Run 'slow@.* its budget of wallMs is 50,/)
    expect(out).toMatch(/^budget: at most 50 ms$/m)
    const wrong = await dotdo(['run', lines(out)[0]!, '--retry', '--budget', 'walls=1h'])
    expect([wrong.code, wrong.err]).toEqual([
      2,
      '--budget walls=1h is no budget. Write names with whole numbers: requests=1000,rowsWritten=50000,wall=1h.\n',
    ])
  })
})

describe('fleet', () => {
  test('tells numbers and objects, for people and for programs', async () => {
    await dotdo(['trigger', 'Pipeline/main', 'faulty', '--wait'])
    const { code, out } = await dotdo(['fleet'])
    expect(code).toBe(0)
    expect(out).toMatch(/^OBJECTS  RUNNING  FAILED TODAY  HELD  SCHEDULES  LATE  OPEN ALERTS  DEAD LETTERS\n +\d+ .*! \d+ .*\n\nOBJECT/)
    expect(out).toMatch(/^Pipeline\/main +/m)
    const json = objects((await dotdo(['fleet', 'Pipeline/main', '--json'])).out)
    expect(json).toMatchObject([
      { kind: 'summary', schedules: expect.any(Number) as number },
      { kind: 'object', object: 'Pipeline/main' },
    ])
  })

  test('--rebuild --wait makes the index again, and gives 0 when every object has told', async () => {
    const { code, out } = await dotdo(['fleet', 'Pipeline/main', '--rebuild', '--wait'])
    expect([code, out]).toEqual([0, expect.stringMatching(/^✓ done {2}\d+ asked\n$/)])
  })
})

describe('logs', () => {
  test('tell what has happened, as entries for programs', async () => {
    await dotdo(['trigger', 'Pipeline/main', 'faulty', '--wait'])
    const { code, out } = await dotdo(['logs', 'Pipeline/main', '--limit', '1', '--json'])
    expect(code).toBe(0)
    const entries = objects(out).filter(({ type }) => /^(run|step)/.test(String(type)))
    expect(entries.map(({ type, stepId }) => [type, stepId])).toEqual([
      ['run.started', undefined],
      ['step.started', 'fill'],
      ['step.done', 'fill'],
      ['step.started', 'pour'],
      ['step.failed', 'pour'],
      ['run.failed', undefined],
    ])
    expect(entries.at(-1)).toMatchObject({ object: 'Pipeline/main', startedBy: 'schedule faulty', error: { code: 'SPILLED' } })
  })

  test('--follow goes on with what happens, each thing once', async () => {
    const following = start(['logs', 'Pipeline/main', '--follow', '--json', '--limit', '2'], env)
    await following.said(/run\.started/)
    const runId = await pipeline().trigger('daily')
    await following.said(new RegExp(`"type":"run.done","runId":"${runId.replaceAll(/[.!]/g, '\\$&')}"`))
    process.kill(-following.child.pid!, 'SIGINT')
    const { code, out } = await following.ended
    expect(code).toBe(130)
    const own = objects(out).filter((entry) => entry['runId'] === runId)
    expect(own.map(({ type, stepId }) => `${String(type)} ${(stepId as string | undefined) ?? ''}`)).toEqual([
      'run.started ',
      'step.started read',
      'step.done read',
      'step.started write',
      'step.done write',
      'run.done ',
    ])
  })

  test('end with 0 when whoever reads has read enough', async () => {
    const following = start(['logs', 'Pipeline/main', '--follow'], env)
    await following.said(/run\./)
    // The pipe is closed, as `head` does; the next line that is written finds nobody.
    following.child.stdout!.destroy()
    await dotdo(['trigger', 'Pipeline/main', 'daily', '--wait'])
    expect(await following.ended).toMatchObject({ code: 0, err: '' })
  })
})

describe('a secret', () => {
  test('that a run uses in every place stands in no file of the state, in no answer and in nothing that is printed', async () => {
    const hider = app.app.Pipeline!('hider') as unknown as { hide(it: string): Promise<Record<string, string>>; leak(): Promise<void> }
    const became = await hider.hide(canary)
    const { given, header, call, error, ...stored } = became
    expect([given, header, call]).toEqual(['string', 'SECRET_NOT_REVEALED', 'NOT_SENDABLE'])
    expect(error).toContain('GET /?key=[secret API_KEY]')
    expect(stored).toEqual(Object.fromEntries(Object.keys(stored).map((name) => [name, 'NOT_STORABLE'])))
    await expect(hider.leak()).rejects.toThrow('it is [secret API_KEY]')
    // What the page is given, and what is printed.
    const inspector = app.app.dotdo.object('Pipeline', 'hider')
    const [run] = await inspector.runs()
    const views = JSON.stringify([run, await inspector.run(run!.runId), await inspector.events(), await inspector.deadLetters()])
    const printed = await Promise.all(
      [
        ['run', 'Pipeline/hider', run!.runId, '--json'],
        ['runs', 'Pipeline/hider'],
        ['logs', 'Pipeline/hider'],
        ['events', 'Pipeline/hider'],
      ].map((args) => dotdo(args)),
    )
    const shown = views + JSON.stringify(printed)
    expect(shown).not.toContain('5b1f0c77')
    expect(shown).toContain('[secret API_KEY]')
    // SQLite's files, their write-ahead logs among them.
    const files = readdirSync(app.state, { recursive: true, withFileTypes: true }).filter((it) => it.isFile())
    const dirty = files.filter((it) => readFileSync(join(it.parentPath, it.name)).includes('5b1f0c77'))
    expect(dirty.map((it) => it.name)).toEqual([])
    expect(files.filter((it) => /sqlite/.test(it.name)).length).toBeGreaterThan(2)
  })
})

describe('schedules', () => {
  test('have their next instants, on their own clock', async () => {
    const { code, out } = await dotdo(['schedules', 'Pipeline/main', '--next', '2'])
    expect(code).toBe(0)
    expect(out).toMatch(/^daily {2,}every day at 02:00 +Europe\/Zurich +\d{4}-\d\d-\d\d 02:00:00 +in /m)
    expect(objects((await dotdo(['schedules', 'Pipeline/main', '--json'])).out).map(({ scheduleId }) => scheduleId)).toEqual([
      'daily',
      'faulty',
      'slow',
    ])
  })

  test('of all objects come from the index, with the object that each is of, and those that fail are told apart', async () => {
    await dotdo(['trigger', 'Pipeline/second', 'faulty', '--wait'])
    const all = await until(
      'the schedules of all objects',
      async () => objects((await dotdo(['schedules', '--json'])).out),
      (found) => found.some(({ object }) => object === 'Pipeline/second'),
    )
    expect(new Set(all.map(({ object }) => object))).toContain('Pipeline/main')
    const runs = objects((await dotdo(['runs', '--noun', 'Pipeline', '--state', 'failed', '--json'])).out)
    expect(runs.map(({ object }) => object)).toContain('Pipeline/second')
    expect((await dotdo(['schedules', '--state', 'late'])).err).toContain('No late schedules of any object')
  })

  test('are paused and resumed', async () => {
    const paused = await dotdo(['schedules', 'Pipeline/main', '--pause', 'slow'])
    expect(paused).toMatchObject({ code: 0, out: expect.stringMatching(/^slow .* paused/m) as string })
    expect((await dotdo(['schedules', 'Pipeline/main', '--resume', 'slow'])).out).not.toContain('paused')
    expect(await dotdo(['schedules', 'Pipeline/main', '--pause', 'none'])).toMatchObject({
      code: 1,
      err: expect.stringContaining('SCHEDULE_UNKNOWN') as string,
    })
  })

  test('of objects that have none say how to declare one', async () => {
    expect(await dotdo(['schedules', 'Till/one'])).toMatchObject({
      code: 0,
      out: '',
      err: expect.stringContaining('this.every.day') as string,
    })
  })
})

describe('backfill', () => {
  const days = ['backfill', 'Pipeline/filler', 'daily', '2026-11-01', '2026-11-04']

  test('shows its windows, runs those that are missing, and says how it went', async () => {
    const windows = objects((await dotdo([...days, '--dry-run', '--json'])).out)
    expect(windows.map(({ state }) => state)).toEqual(['missing', 'missing', 'missing'])
    const { code, out } = await dotdo([...days, '--concurrency', '2', '--wait'])
    expect(code).toBe(0)
    expect(out).toMatch(/^\S+ of daily\n2026-11-01 .*\n█{20} {2}done {2}3 of 3 windows, 3 done\n$/)
    expect((await dotdo([...days, '--dry-run'])).out).toMatch(/^STATE .*\n(?:✓ done .*daily@.*\n){3}$/)
    // Nothing is left to be run.
    expect(objects((await dotdo([...days, '--wait', '--json'])).out)).toMatchObject([
      { object: 'Pipeline/filler', status: 'done', done: 0, passed: 3 },
    ])
    expect((await dotdo(['backfill', 'Pipeline/filler', 'daily'])).out.trimEnd().split('\n')).toHaveLength(3)
  })

  test('gives 1 where a window has failed', async () => {
    const { code, out } = await dotdo(['backfill', 'Pipeline/filler', 'faulty', '2026-11-01', '2026-11-02', '--wait'])
    expect(code).toBe(1)
    expect(out).toContain('1 failed')
  })

  test('that goes on is cancelled by its id', async () => {
    const begun = await dotdo(['backfill', 'Pipeline/filler', 'slow', '2026-11-01', '2026-11-04'])
    const id = begun.out.trim()
    expect([begun.code, id]).not.toContain('')
    const { code, out } = await dotdo(['backfill', 'Pipeline/filler', 'slow', '--cancel', id])
    expect(code).toBe(0)
    expect(out).toMatch(new RegExp(`⊘ cancelled {2}${id}`))
  })

  test('of a schedule that is none fails with 1, and of a time that is none with 2', async () => {
    expect(await dotdo(['backfill', 'Pipeline/filler', 'none', '2026-11-01', '2026-11-04'])).toMatchObject({
      code: 1,
      err: expect.stringContaining('SCHEDULE_UNKNOWN') as string,
    })
    expect(await dotdo(['backfill', 'Pipeline/filler', 'daily', 'yesterday', 'today'])).toMatchObject({
      code: 2,
      err: expect.stringContaining('is no date and no instant') as string,
    })
  })
})

describe('events', () => {
  test('that nobody took are listed with the reason, and given to their handlers again', async () => {
    const counter = app.app.Pipeline!('printer') as { order(n: number): Promise<void>; mend(): Promise<void> }
    await counter.order(7)
    await until(
      'it is a dead letter',
      async () => dotdo(['events', 'Pipeline/printer', '--dead']),
      ({ out }) => out.includes('NO_PAPER'),
    )
    const { out } = await dotdo(['events', 'Pipeline/printer'])
    expect(out).toMatch(
      /^EVENT .*\n.*Order\.paid .*\{"n":7\}\n\nDead letters\nLETTER .*\n\S+:print .*NO_PAPER: the printer is out of paper/m,
    )
    const json = objects((await dotdo(['events', 'Pipeline/printer', '--json'])).out)
    expect(json).toMatchObject([
      { kind: 'event', eventType: 'Order.paid', dead: 1 },
      { kind: 'deadLetter', handler: 'print', error: { code: 'NO_PAPER' } },
    ])
    await counter.mend()
    expect(await dotdo(['events', 'Pipeline/printer', '--replay', String(json[1]!['id'])])).toMatchObject({
      code: 0,
      out: 'Given to their handlers again: 1.\n',
    })
    await until(
      'it is taken',
      async () => dotdo(['events', 'Pipeline/printer', '--dead']),
      ({ err }) => err === 'No dead letters.\n',
    )
    expect(await dotdo(['events', 'Pipeline/printer', '--replay', 'all'])).toMatchObject({
      code: 0,
      out: 'Given to their handlers again: 0.\n',
    })
    expect(await dotdo(['events', 'Pipeline/printer', '--replay', 'nothing'])).toMatchObject({
      code: 1,
      err: expect.stringContaining('DEAD_LETTER_UNKNOWN') as string,
    })
  })
})

describe('query', () => {
  test('asks the one singleton that can be asked, and prints a table or rows', async () => {
    const sql = "SELECT 1 AS one, 'x' AS letter UNION SELECT 20000, NULL"
    expect(await dotdo(['query', sql])).toMatchObject({
      code: 0,
      out: '   one  letter\n     1  x\n20,000  NULL\n',
      err: expect.stringMatching(/^2 rows in /) as string,
    })
    expect(objects((await dotdo(['query', sql, '--json'])).out)).toEqual([
      { one: 1, letter: 'x' },
      { one: 20000, letter: null },
    ])
    expect((await dotdo(['query', sql, 'Pipeline/other'])).code).toBe(0)
  })

  test('fails with 1 where the object cannot be asked, and says how to let it', async () => {
    expect(await dotdo(['query', 'SELECT 1', 'Till/one'])).toMatchObject({
      code: 1,
      out: '',
      err: expect.stringMatching(/^QUERY_UNAVAILABLE: Till\/one has no method query\(sql\)\. Give the object one: /) as string,
    })
    expect((await dotdo(['query', 'SELECT nothing'])).code).toBe(1)
  })
})

describe('whoever is not let in', () => {
  test('ends with 3, and its token is shown nowhere', async () => {
    const expired = await sessionToken(app.secret, -1000)
    for (const token of [expired, 'a-token-of-nobody', expired.slice(0, -3)]) {
      const { code, out, err } = await dotdo(['runs'], { DOTDO_TOKEN: token })
      expect([code, out]).toEqual([3, ''])
      expect(err).toMatch(/^TOKEN_(?:INVALID|EXPIRED): /)
      expect(err).not.toContain(token.slice(0, 20))
    }
    expect((await dotdo(['runs', '--json'], { DOTDO_TOKEN: expired })).err).toMatch(
      /^\{"error":\{.*"code":"TOKEN_EXPIRED".*"exitCode":3\}\}\n$/,
    )
  })

  test('may sign a session with the secret of the app', async () => {
    expect(await dotdo(['runs', 'Pipeline/main'], { DOTDO_TOKEN: '', DOTDO_SECRET: app.secret })).toMatchObject({ code: 0 })
    expect(await dotdo(['runs', 'Pipeline/main'], { DOTDO_TOKEN: '', DOTDO_SECRET: 'another secret of some length' })).toMatchObject({
      code: 3,
    })
  })

  test('ends with 3 where nobody answers', async () => {
    // Nothing listens on port 9 of this machine, which is for discarding.
    const { code, err } = await dotdo(['runs'], { DOTDO_URL: 'http://127.0.0.1:9' })
    expect(code).toBe(3)
    expect(err).toMatch(/^LINK_LOST: The app was not reached/)
  })

  test('of a noun that is none ends with 1', async () => {
    expect(await dotdo(['runs', 'Pipline/main'])).toMatchObject({ code: 1, err: expect.stringContaining('NOUN_UNKNOWN') as string })
  })
})

describe('the examples of the help', () => {
  const examples = commands.filter(({ name }) => name !== 'dev').flatMap(({ examples: all }) => all.map(([line]) => line))

  test.each(examples)('%s', async (line) => {
    const runId = await pipeline().trigger('daily')
    const failed = await pipeline().trigger('faulty')
    const stands = { $RUN: runId, $FAILED: failed } as Record<string, string>
    const args = wordsOf(line).map((word) => stands[word] ?? word)
    // Ended, so that it can be taken up.
    await until(
      'it has failed',
      async () => await pipeline().run(failed),
      ({ status }) => status === 'failed',
    )
    expect(args.splice(0, 2)).toEqual(['npx', 'dotdo'])
    const command = start(args, env)
    if (args.includes('--follow')) {
      await command.said(/run\./)
      process.kill(-command.child.pid!, 'SIGINT')
    }
    const { code, err } = await command.ended
    expect(code, err).toBe(args.includes('--follow') ? 130 : 0)
  })
})

describe('what is printed', () => {
  test('fits into 60 columns', async () => {
    await (app.app.Pipeline!('wide') as { order(n: number): Promise<void> }).order(7)
    await dotdo(['trigger', 'Pipeline/main', 'faulty', '--wait'])
    for (const args of [
      ['runs'],
      ['run', 'Pipeline/main', await newest()],
      ['schedules'],
      ['alerts', '--state', 'all'],
      ['events', 'Pipeline/wide'],
      ['logs', '--limit', '3'],
      ['--help'],
      ['query', "SELECT 'a rather long text' AS a, 'another text that is long' AS b, 'and a third one of them' AS c"],
    ]) {
      const { code, out } = await dotdo(args, { COLUMNS: '60' })
      expect([args, code]).toEqual([args, 0])
      expect(out).not.toBe('')
      for (const line of lines(out)) expect(Array.from(line).length, `${args.join(' ')}: ${line}`).toBeLessThanOrEqual(60)
    }
  })

  test('has colours where they are asked for, and never where NO_COLOR says something', async () => {
    const colors = async (more: Record<string, string>) => (await dotdo(['runs'], more)).out.includes('\u001b[')
    expect([await colors({}), await colors({ FORCE_COLOR: '1' }), await colors({ FORCE_COLOR: '1', NO_COLOR: '1' })]).toEqual([
      false,
      true,
      false,
    ])
  })

  async function newest(): Promise<string> {
    return (await pipeline().runs({ limit: 1 }))[0]!.runId
  }
})
