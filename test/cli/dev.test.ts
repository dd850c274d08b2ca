/** `npx dotdo dev`: it starts an app of any folder, shows what happens, takes changes of the code, and ends with all that it has started. */
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { redeem } from 'dotdo/client'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { root, until, workerdsBelow } from '../support/app.ts'
import { endAll, objects, start } from './support.ts'

const linux = process.platform === 'linux'
let folder: string
let source: string
beforeAll(async () => {
  // Inside the repository, where `dotdo` and what it needs are found.
  await mkdir(join(root, '.dotdo'), { recursive: true })
  folder = await mkdtemp(join(root, '.dotdo', 'cli-'))
  source = await readFile(join(root, 'test/cli/app/worker.ts'), 'utf8')
  await writeFile(join(folder, 'wrangler.toml'), await readFile(join(root, 'test/cli/app/wrangler.toml')))
  await writeFile(join(folder, 'worker.ts'), source)
})
afterEach(endAll)
afterAll(() => rm(folder, { recursive: true, force: true }))

const dotdo = (...args: string[]) => start(args, {}, folder).ended

describe('npx dotdo dev', { timeout: 180_000 }, () => {
  test('prints a link, lets other commands in without a word, shows runs and logs, and ends by Ctrl-C with nothing left', async () => {
    const dev = start(['dev', '--port', '0'], {}, folder)
    const [, url, token] = await dev.said(/^Page {2}(http:\/\/127\.0\.0\.1:\d+\/)#token=(\S+)$/m)
    await dev.said(/Watching Pipeline\/main\. Ctrl-C stops\./)
    // From below the folder too.
    await mkdir(join(folder, 'src'), { recursive: true })
    expect((await start(['schedules'], {}, join(folder, 'src')).ended).code).toBe(0)

    const triggered = await dotdo('trigger', 'Pipeline/main', 'daily', '--wait', '--json')
    expect(triggered.code, triggered.err).toBe(0)
    const runId = String(objects(triggered.out)[0]!['runId'])
    await dev.said(/✓ run\.done/)
    await dev.said(/^counted$/m)
    expect(
      dev
        .out()
        .split('\n')
        .filter((line) => line.includes('run.started') && line.includes(runId)),
    ).toHaveLength(1)

    // The link leads to the page, although the configuration has no word of it; what is no file is the Worker's.
    expect(await (await fetch(url!)).text()).toMatch(/^<!doctype html>/)
    expect((await fetch(new URL('/rpc', url))).status).toBe(405)

    // Shown once, and good once.
    expect(dev.out().split('dotdo1.')).toHaveLength(2)
    expect((await redeem(url!, token!)).token).toMatch(/^dotdo1\./)
    await expect(redeem(url!, token!)).rejects.toMatchObject({ code: 'TOKEN_USED' })

    const second = await dotdo('dev', '--port', '0')
    expect([second.code, second.out]).toEqual([1, ''])
    expect(second.err).toMatch(new RegExp(`^APP_NOT_STARTED: The app is running already, as process ${dev.child.pid}\\.`))

    const workerds = linux ? workerdsBelow(dev.child.pid) : []
    if (linux) expect(workerds.length).toBeGreaterThan(0)
    // As a terminal does: to the whole group.
    process.kill(-dev.child.pid!, 'SIGINT')
    const { code, err } = await dev.ended
    expect([code, err]).toEqual([130, ''])
    for (const pid of workerds) expect(() => process.kill(pid, 0)).toThrow('ESRCH')
    expect(existsSync(join(folder, '.dotdo/state/lock'))).toBe(false)

    const after = await dotdo('runs')
    expect(after.code).toBe(3)
    expect(after.err).toContain('APP_NOT_FOUND: No app runs on the state in')
  })

  test('keeps its state, tells programs what happens, runs the code as it changes, and says what keeps it from that', async () => {
    const dev = start(['dev', '--port', '0', '--json'], {}, folder)
    await dev.said(/"type":"ready"/)
    expect(objects(dev.out())[0]).toMatchObject({ type: 'ready', nouns: ['Pipeline', 'Till'], objects: ['Pipeline/main'] })
    expect(objects((await dotdo('runs', '--json')).out).length).toBeGreaterThan(0)

    await writeFile(join(folder, 'worker.ts'), source.replace("console.log('counted')", "console.log('counted anew')"))
    for (let tries = 0; !dev.out().includes('counted anew') && tries < 60; tries++)
      await dotdo('trigger', 'Pipeline/main', 'daily', '--wait')
    expect(
      objects(dev.out()).filter(({ type, message }) => type === 'log' && String(message).includes('counted anew')).length,
    ).toBeGreaterThan(0)
    expect(objects(dev.out()).filter(({ type }) => type === 'run.done').length).toBeGreaterThan(0)

    // What cannot be built is told with its place; the app answers again when it is mended.
    await writeFile(join(folder, 'worker.ts'), `${source}\nexport const {\n`)
    await until(
      'the fault is told',
      async () => dev.err(),
      (text) => text.includes('The change is not running'),
      60_000,
    )
    expect(dev.err()).toMatch(/worker\.ts:\d+/)
    await writeFile(join(folder, 'worker.ts'), source)
    await until(
      'it answers again',
      () => dotdo('trigger', 'Pipeline/main', 'daily', '--wait'),
      ({ code }) => code === 0,
      90_000,
    )

    dev.child.kill('SIGTERM')
    expect((await dev.ended).code).toBe(143)
  })

  test('that cannot begin ends with 1 and one message', async () => {
    const broken = join(folder, 'broken.toml')
    await writeFile(broken, 'name = "broken"\nmain = "nowhere.ts"\ncompatibility_date = "2026-11-01"\n')
    const { code, out, err } = await dotdo('dev', '--config', 'broken.toml', '--folder', join(folder, 'other'), '--port', '0')
    expect([code, out]).toEqual([1, ''])
    expect(err).toMatch(/^APP_NOT_STARTED: The app could not be started: .*nowhere\.ts/)
    expect(err).not.toMatch(/^\s+at /m)
    expect(existsSync(join(folder, 'other', 'lock'))).toBe(false)
  })
})
