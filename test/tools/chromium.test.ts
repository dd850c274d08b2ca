import { expect, test } from 'vitest'
import { findChromium, launchBrowser, type Machine } from '../support/chromium.ts'

/** A machine that has the programs of `there`; a run of apt-get's install adds `adds`. */
function machine(there: string[], over: Partial<Machine> & { adds?: string; refuses?: string } = {}) {
  const programs = new Set(there)
  const ran: string[] = []
  const said: string[] = []
  const fake: Machine = {
    platform: 'linux',
    env: { PATH: '/home/me/bin:/usr/bin' },
    isProgram: async (path) => programs.has(path),
    run: async (command, args) => {
      const line = [command, ...args].join(' ')
      ran.push(line)
      if (over.refuses !== undefined && line.includes(over.refuses)) throw new Error(`${over.refuses}: refused\nmore`)
      if (line.includes('apt-get install') && over.adds !== undefined) programs.add(over.adds)
    },
    uid: 0,
    say: (line) => said.push(line),
    ...over,
  }
  return { fake, ran, said }
}
const debian = ['/usr/bin/apt-get', '/usr/bin/dpkg']

test('the variable wins over everything that is installed', async () => {
  const { fake } = machine(['/my/chrome', '/usr/bin/chromium'], { env: { DOTDO_CHROMIUM: '/my/chrome', PATH: '/usr/bin' } })
  expect(await findChromium(fake)).toBe('/my/chrome')
})

test('CHROME_PATH is taken where DOTDO_CHROMIUM is not set', async () => {
  const { fake } = machine(['/other/chrome', '/usr/bin/chromium'], { env: { CHROME_PATH: '/other/chrome' } })
  expect(await findChromium(fake)).toBe('/other/chrome')
})

test('a variable that names nothing is an error, not a missing browser', async () => {
  const { fake, ran } = machine(['/usr/bin/chromium'], { env: { DOTDO_CHROMIUM: '/gone/chrome' } })
  await expect(findChromium(fake)).rejects.toThrow('DOTDO_CHROMIUM=/gone/chrome: no program is there')
  expect(ran).toEqual([])
})

test('an empty variable says that there is none, and nothing is installed', async () => {
  const { fake, ran } = machine(debian, { env: { DOTDO_CHROMIUM: '' }, adds: '/usr/bin/chromium' })
  expect(await findChromium(fake)).toBeUndefined()
  expect(ran).toEqual([])
})

test.each([
  ['linux', {}, '/snap/bin/chromium'],
  ['linux', { PATH: '/home/me/bin' }, '/home/me/bin/google-chrome'],
  ['darwin', {}, '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome'],
  ['darwin', { HOME: '/Users/me' }, '/Users/me/Applications/Chromium.app/Contents/MacOS/Chromium'],
  ['win32', { PROGRAMFILES: 'C:\\Program Files' }, 'C:\\Program Files\\Google\\Chrome\\Application\\chrome.exe'],
  ['win32', { LOCALAPPDATA: 'C:\\Users\\me\\AppData\\Local' }, 'C:\\Users\\me\\AppData\\Local\\Chromium\\Application\\chrome.exe'],
] as const)('the usual places of %s with %j hold %s', async (platform, env, path) => {
  const { fake } = machine([path], { platform, env })
  expect(await findChromium(fake)).toBe(path)
})

test('root on Debian gets the package, and is told', async () => {
  const { fake, ran, said } = machine(debian, { adds: '/usr/bin/chromium' })
  expect(await findChromium(fake)).toBe('/usr/bin/chromium')
  expect(ran).toEqual([
    'env DEBIAN_FRONTEND=noninteractive apt-get update -qq',
    'env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium',
  ])
  expect(said).toEqual([expect.stringContaining('installing the package "chromium"')])
})

test('another user installs through a sudo that asks nothing', async () => {
  const { fake, ran } = machine(debian, { uid: 1000, adds: '/usr/bin/chromium' })
  expect(await findChromium(fake)).toBe('/usr/bin/chromium')
  expect(ran[0]).toBe('sudo -n true')
  expect(ran.slice(1).every((line) => line.startsWith('sudo -n env DEBIAN_FRONTEND=noninteractive apt-get '))).toBe(true)
})

test('without root and without sudo there is no browser, silently', async () => {
  const { fake, ran, said } = machine(debian, { uid: 1000, refuses: 'sudo -n true', adds: '/usr/bin/chromium' })
  expect(await findChromium(fake)).toBeUndefined()
  expect([ran, said]).toEqual([['sudo -n true'], []])
})

test('an installation that fails is said in one line and leaves no browser', async () => {
  const { fake, said } = machine(debian, { refuses: 'apt-get update' })
  expect(await findChromium(fake)).toBeUndefined()
  expect(said[1]).toBe('the package "chromium" could not be installed: apt-get update: refused')
})

test.each(['darwin', 'win32'] as const)('nothing is installed on %s', async (platform) => {
  const { fake, ran } = machine(debian, { platform })
  expect(await findChromium(fake)).toBeUndefined()
  expect(ran).toEqual([])
})

test('a Linux without apt-get has no browser to install', async () => {
  const { fake, ran } = machine([])
  expect(await findChromium(fake)).toBeUndefined()
  expect(ran).toEqual([])
})

test.skipIf((await findChromium()) === undefined)('the browser that was found shows a page', async () => {
  const browser = await launchBrowser()
  try {
    const page = await browser.context.newPage()
    await page.setContent('<title>dotdo</title><p id="sum"></p><script>sum.textContent = 40 + 2</script>')
    expect(await page.title()).toBe('dotdo')
    expect(await page.locator('#sum').textContent()).toBe('42')
  } finally {
    await browser.close()
  }
})
