/**
 * Completes `package-lock.json` with the optional packages of other platforms.
 *
 * Packages with native binaries (workerd, oxlint, chdb, …) name one optional package for each platform. Where a
 * registry does not serve the foreign ones, npm leaves them out of the lock, and `npm ci` then refuses that lock on
 * every machine ("Missing: … from lock file"). Name and exact version stand in the parent's entry, and the name says
 * the platform, so the missing entries can be written without asking anybody.
 *
 *     node scripts/complete-lock.ts           add what is missing (run it after each change of dependencies)
 *     node scripts/complete-lock.ts --check   change nothing, fail when something is missing
 *
 * Invariants
 * 1. Entries that npm wrote keep what they say; only the address of a registry is taken out of them.
 * 2. A second run changes nothing.
 * 3. A name whose platform cannot be read is an error: without `os` and `cpu` every machine would install it.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { pathToFileURL } from 'node:url'

/** One entry of `packages` in a lock file of version 3, as far as this script reads it. */
export interface LockEntry {
  version?: string
  resolved?: string
  link?: boolean
  optional?: boolean
  os?: string[]
  cpu?: string[]
  libc?: string[]
  optionalDependencies?: Record<string, string>
}

/** A lock file of version 3. */
export interface Lock {
  lockfileVersion: number
  packages: Record<string, LockEntry>
}

/** The platform that a package's name states, in npm's own words. */
export interface Platform {
  os: string[]
  cpu: string[]
  libc?: string[]
}

const osNames: Record<string, string> = { windows: 'win32', win: 'win32' }
const knownOs = ['aix', 'android', 'darwin', 'freebsd', 'linux', 'netbsd', 'openbsd', 'openharmony', 'sunos', 'win32']
const cpuNames: Record<string, string> = { '64': 'x64', amd64: 'x64', aarch64: 'arm64', armv7: 'arm' }
const knownCpu = ['arm', 'arm64', 'ia32', 'loong64', 'mips64el', 'ppc64', 'riscv64', 's390x', 'x64']
const libcNames: Record<string, string> = {
  gnu: 'glibc',
  glibc: 'glibc',
  musl: 'musl',
}

/**
 * Reads the platform out of a name such as `@oxlint/binding-linux-arm-musleabihf`. Returns undefined for a name
 * that states none. `libc` is left out where the name does not state it, and off Linux, where npm does not look at it.
 */
export function platformOf(name: string): Platform | undefined {
  const words = name
    .replace(/^@[^/]+\//, '')
    .replace('linuxmusl', 'linux-musl')
    .split(/[-_.]/)
  const os = words.map((word) => osNames[word] ?? word).find((word) => knownOs.includes(word))
  const cpu = words.map((word) => cpuNames[word] ?? word).find((word) => knownCpu.includes(word))
  if (os === undefined || cpu === undefined) return undefined
  const libc = os === 'linux' ? words.map((word) => libcNames[word]).find((word) => word !== undefined) : undefined
  return { os: [os], cpu: [cpu], ...(libc === undefined ? {} : { libc: [libc] }) }
}

/**
 * Adds the missing entries to `lock` and takes registry addresses out of it. Returns what it did, one line each, so
 * that an empty answer means a complete lock. Throws when a missing package has no exact version or no platform.
 */
export function completeLock(lock: Lock): string[] {
  if (lock.lockfileVersion !== 3) throw new Error(`lock file version ${lock.lockfileVersion}: this script knows version 3`)
  const done: string[] = []
  for (const [path, entry] of Object.entries(lock.packages)) {
    for (const [name, version] of Object.entries(entry.optionalDependencies ?? {})) {
      if (isThere(lock, path, name)) continue
      const exact = version.replace(/^npm:.*@/, '')
      if (!/^\d+\.\d+\.\d+/.test(exact)) throw new Error(`${path} wants ${name}@${version}: no exact version, add it by hand`)
      const platform = platformOf(name)
      if (platform === undefined) throw new Error(`${path} wants ${name}: its name states no platform, add it by hand`)
      const dev = (entry as { dev?: boolean }).dev === true ? { dev: true } : {}
      // Beside its parent, as npm would hoist it: two versions of one parent never share a place.
      const place = `${path.slice(0, path.lastIndexOf('node_modules/'))}node_modules/${name}`
      lock.packages[place] = { version: exact, ...platform, ...dev, optional: true }
      done.push(`missing ${place}@${exact}`)
    }
  }
  for (const [path, entry] of Object.entries(lock.packages)) {
    if (entry.link || !/^https?:/.test(entry.resolved ?? '')) continue
    delete entry.resolved
    done.push(`address in ${path}`)
  }
  return done
}

/** Node's own look-up: the package's own node_modules, then each folder above it. */
function isThere(lock: Lock, from: string, name: string): boolean {
  for (let at = from; ; at = at.slice(0, Math.max(0, at.lastIndexOf('/')))) {
    if (!at.endsWith('node_modules') && lock.packages[at === '' ? `node_modules/${name}` : `${at}/node_modules/${name}`]) return true
    if (at === '') return false
  }
}

/** npm's order: the root first, the rest by name, so that the next `npm install` makes no noise in the diff. */
function sorted(lock: Lock): Lock {
  const packages = Object.fromEntries(Object.entries(lock.packages).sort(([a], [b]) => a.localeCompare(b, 'en')))
  return { ...lock, packages }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const file = new URL('../package-lock.json', import.meta.url)
  const lock = JSON.parse(readFileSync(file, 'utf8')) as Lock
  const done = completeLock(lock)
  if (process.argv.includes('--check')) {
    for (const line of done) console.error(line)
    if (done.length > 0) console.error(`package-lock.json: ${done.length} faults; run "npm run lock" and commit the file`)
    process.exitCode = done.length > 0 ? 1 : 0
  } else {
    if (done.length > 0) writeFileSync(file, `${JSON.stringify(sorted(lock), null, 2)}\n`)
    console.log(`package-lock.json: ${done.length === 0 ? 'complete' : `${done.length} entries mended`}`)
  }
}
