import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { oneTimeLink, sessionToken } from '../../src/cli/link.ts'
import { findState, openState, projectSecret, readState } from '../../src/cli/state.ts'
import { findTarget, type TargetSources } from '../../src/cli/target.ts'
import { verifyToken } from '../../src/rpc/tokens.ts'

let cwd: string
let folder: string
beforeEach(async () => {
  cwd = await mkdtemp(join(tmpdir(), 'dotdo-cli-'))
  folder = join(cwd, '.dotdo', 'state')
})
afterEach(() => rm(cwd, { recursive: true, force: true }))

const find = (said: Partial<TargetSources> = {}) =>
  findTarget({ url: undefined, token: undefined, folder: undefined, env: {}, cwd, ...said })
const opens = (token: string, secret: string) => verifyToken(token, 'session', secret, Date.now()).then(({ kind }) => kind)

describe('the state of a local app', () => {
  test('has one process at a time, and is given back', () => {
    const state = openState(folder, false)
    expect(readState(folder)).toBeUndefined()
    state.serves('http://127.0.0.1:8787/')
    expect(readState(folder)).toEqual({ url: 'http://127.0.0.1:8787/', secret: state.secret })
    state.close()
    expect(readState(folder)).toBeUndefined()
    expect(existsSync(join(folder, 'lock'))).toBe(false)
  })

  test('is refused while another process lives that has it, with that process', async () => {
    await mkdir(folder, { recursive: true })
    // The process that started this one.
    await writeFile(join(folder, 'lock'), String(process.ppid))
    expect(() => openState(folder, true)).toThrow(`The app is running already, as process ${process.ppid}.`)
  })

  test.each(['999999999', '', 'x', '-1', '0'])(
    'is taken over from a process that is gone (%j), and its address is forgotten',
    async (lock) => {
      await mkdir(folder, { recursive: true })
      await writeFile(join(folder, 'lock'), lock)
      await writeFile(join(folder, 'url'), 'http://127.0.0.1:1/')
      expect(readState(folder)).toBeUndefined()
      const state = openState(folder, false)
      expect(existsSync(join(folder, 'url'))).toBe(false)
      state.close()
    },
  )

  test("has the project's own secret where its .dev.vars has one: what its scripts sign opens the app", async () => {
    expect(projectSecret(cwd)).toBeUndefined()
    await writeFile(join(cwd, '.dev.vars'), 'OTHER=1\n')
    expect(projectSecret(cwd)).toBeUndefined()
    openState(folder, false).close()
    await writeFile(join(cwd, '.dev.vars'), '# of this machine\nDOTDO_SECRET="a-secret-of-sixteen-or-more"\n')
    const state = openState(folder, false, projectSecret(cwd))
    state.serves('http://127.0.0.1:8787/')
    expect(readState(folder)?.secret).toBe('a-secret-of-sixteen-or-more')
    expect(state.secret).toBe('a-secret-of-sixteen-or-more')
    expect((await stat(join(folder, 'secret'))).mode & 0o077).toBe(0)
    state.close()
  })

  test('has one secret for ever, which its owner alone can read and nobody commits', async () => {
    const { secret, close } = openState(folder, false)
    close()
    const again = openState(folder, false)
    expect(again.secret).toBe(secret)
    expect((await stat(join(folder, 'secret'))).mode & 0o077).toBe(0)
    expect(await readFile(join(folder, '.gitignore'), 'utf8')).toBe('*\n')
    again.close()
    const anew = openState(folder, true)
    expect(anew.secret).not.toBe(secret)
    anew.close()
  })

  test('is found at a folder, or above it', async () => {
    await mkdir(folder, { recursive: true })
    await mkdir(join(cwd, 'src/deep'), { recursive: true })
    expect(findState(join(cwd, 'src/deep'))).toBe(folder)
  })
})

describe('the app that is asked', () => {
  test('is the one that runs here, with a session signed by its secret', async () => {
    const state = openState(folder, false)
    state.serves('http://127.0.0.1:8787/')
    const { url, token } = await find()
    expect([url, await opens(token, state.secret)]).toEqual(['http://127.0.0.1:8787/', 'session'])
    // Also by its address, and from below.
    expect(await opens((await find({ url: 'http://127.0.0.1:8787' })).token, state.secret)).toBe('session')
    state.close()
  })

  test('is the one of the environment, and before it the one of the command line', async () => {
    const env = { DOTDO_URL: 'https://a.example', DOTDO_TOKEN: 'of-the-environment' }
    expect(await find({ env })).toEqual({ url: 'https://a.example', token: 'of-the-environment' })
    expect(await find({ env, url: 'https://b.example', token: 'said' })).toEqual({ url: 'https://b.example', token: 'said' })
  })

  test('is opened by a session that is signed here, where its secret is known', async () => {
    const secret = 'sixteen characters'
    const { token } = await find({ env: { DOTDO_URL: 'https://a.example', DOTDO_SECRET: secret } })
    expect(await opens(token, secret)).toBe('session')
  })

  test('is missing where none runs, and where nothing opens it', async () => {
    await expect(find()).rejects.toMatchObject({ code: 'APP_NOT_FOUND', message: expect.stringContaining('npx dotdo dev') as string })
    const state = openState(folder, false)
    state.serves('http://127.0.0.1:8787/')
    // The secret of the local app signs nothing for another one.
    await expect(find({ url: 'https://a.example' })).rejects.toMatchObject({
      code: 'APP_NOT_FOUND',
      message: expect.stringContaining('DOTDO_SECRET') as string,
    })
    state.close()
    await expect(find({ env: { DOTDO_URL: '', DOTDO_TOKEN: '' } })).rejects.toMatchObject({ code: 'APP_NOT_FOUND' })
  })
})

test('links and sessions are signed by a secret of some length, or refused', async () => {
  const secret = 'sixteen characters'
  const link = new URL(await oneTimeLink('https://a.example/deep/path', secret))
  expect([link.origin, link.pathname]).toEqual(['https://a.example', '/'])
  const { kind, expiresAt } = await verifyToken(link.hash.slice('#token='.length), 'once', secret, Date.now())
  expect([kind, expiresAt > Date.now(), expiresAt <= Date.now() + 3_600_000]).toEqual(['once', true, true])
  await expect(sessionToken(undefined)).rejects.toMatchObject({ code: 'SECRET_MISSING' })
})
