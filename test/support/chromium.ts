/**
 * Finds a Chromium for the browser tests, and starts it.
 *
 * No download of a test tool's own browser: the one of the machine is used, and on Debian it is installed from Debian's packages.
 * `npm test` looks once, before the tests start, and passes the answer on in `DOTDO_CHROMIUM`; an empty value says "none".
 */
import { execFile } from 'node:child_process'
import { access, constants, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { promisify } from 'node:util'
import { chromium, type BrowserContext } from 'playwright-core'

const run = promisify(execFile)

/** What {@link findChromium} looks at; the process's own by default, so that a test can pass a machine of its own making. */
export interface Machine {
  platform: NodeJS.Platform
  env: Record<string, string | undefined>
  /** Whether a program is there and may be run. */
  isProgram(path: string): Promise<boolean>
  /** Runs a command; rejects when it fails. */
  run(command: string, args: string[]): Promise<unknown>
  /** The user's number; 0 is root, undefined where there are none. */
  uid: number | undefined
  say(line: string): void
}

const names = ['chromium', 'chromium-browser', 'google-chrome-stable', 'google-chrome', 'chrome']

const thisMachine: Machine = {
  platform: process.platform,
  env: process.env,
  isProgram: (path) =>
    access(path, constants.X_OK).then(
      () => true,
      () => false,
    ),
  run: (command, args) => run(command, args, { timeout: 300_000, maxBuffer: 64 * 1024 * 1024 }),
  uid: process.getuid?.(),
  say: (line) => console.log(line),
}

/**
 * Answers the path of a Chromium, or undefined where there is none and none can be installed. Order: `DOTDO_CHROMIUM`, then
 * `CHROME_PATH`, then PATH and the usual places, then Debian's package, as root or with a sudo that asks for no password.
 * Throws when a variable names a program that is not there: a wrong setting is not a missing browser.
 */
export async function findChromium(machine: Machine = thisMachine): Promise<string | undefined> {
  for (const name of ['DOTDO_CHROMIUM', 'CHROME_PATH']) {
    const path = machine.env[name]
    if (path === undefined) continue
    if (path === '') return undefined
    if (await machine.isProgram(path)) return path
    throw new Error(`${name}=${path}: no program is there; correct the variable or unset it`)
  }
  return (await firstProgram(machine)) ?? ((await installed(machine)) ? await firstProgram(machine) : undefined)
}

/** Starts a browser with a profile of its own, which is removed by `close()`. Throws where there is no Chromium: ask first. */
export async function launchBrowser(): Promise<{ context: BrowserContext; close(): Promise<void> }> {
  const executablePath = await findChromium()
  if (executablePath === undefined) throw new Error('no Chromium: set DOTDO_CHROMIUM to the path of one, or install it')
  const profile = await mkdtemp(join(tmpdir(), 'dotdo-chromium-'))
  const context = await chromium.launchPersistentContext(profile, {
    executablePath,
    headless: true,
    // Chromium does not start as root with its sandbox. The rest keeps it from calling anybody but the page under test.
    args: [
      ...(thisMachine.uid === 0 ? ['--no-sandbox'] : []),
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  })
  return {
    context,
    async close() {
      await context.close()
      await rm(profile, { recursive: true, force: true, maxRetries: 5 })
    },
  }
}

async function firstProgram(machine: Machine): Promise<string | undefined> {
  for (const path of places(machine)) if (await machine.isProgram(path)) return path
  return undefined
}

function places({ platform, env }: Machine): string[] {
  if (platform === 'darwin') {
    const apps = ['Chromium', 'Google Chrome'].map((app) => `/Applications/${app}.app/Contents/MacOS/${app}`)
    return [...apps, ...apps.map((app) => `${env['HOME'] ?? ''}${app}`), '/opt/homebrew/bin/chromium']
  }
  if (platform === 'win32') {
    const folders = [env['PROGRAMFILES'], env['PROGRAMFILES(X86)'], env['LOCALAPPDATA']].filter((folder) => folder !== undefined)
    return folders.flatMap((folder) => [
      `${folder}\\Google\\Chrome\\Application\\chrome.exe`,
      `${folder}\\Chromium\\Application\\chrome.exe`,
      `${folder}\\Microsoft\\Edge\\Application\\msedge.exe`,
    ])
  }
  const folders = (env['PATH'] ?? '').split(delimiter).filter((folder) => folder !== '')
  return [...new Set([...folders, '/usr/bin', '/usr/local/bin', '/snap/bin', '/opt/google/chrome'])].flatMap((folder) =>
    names.map((name) => join(folder, name)),
  )
}

/** Installs Debian's package where that is possible without a question. Says what it does, since it takes a minute. */
async function installed(machine: Machine): Promise<boolean> {
  if (machine.platform !== 'linux') return false
  if (!(await machine.isProgram('/usr/bin/apt-get')) || !(await machine.isProgram('/usr/bin/dpkg'))) return false
  const prefix = machine.uid === 0 ? [] : ['sudo', '-n']
  const attempt = async (...args: string[]) => {
    const [command = '', ...rest] = [...prefix, 'env', 'DEBIAN_FRONTEND=noninteractive', 'apt-get', ...args]
    await machine.run(command, rest)
  }
  try {
    if (machine.uid !== 0) await machine.run('sudo', ['-n', 'true'])
  } catch {
    // No root and no sudo without a password: that is an answer, and the summary of the tests says it.
    return false
  }
  machine.say('no Chromium found: installing the package "chromium" with apt-get (about a minute)')
  try {
    await attempt('update', '-qq')
    await attempt('install', '-y', '-qq', '--no-install-recommends', 'chromium')
    return true
  } catch (error) {
    machine.say(`the package "chromium" could not be installed: ${error instanceof Error ? error.message.split('\n')[0] : String(error)}`)
    return false
  }
}
