import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { completeLock, platformOf, type Lock } from '../../scripts/complete-lock.ts'

const real = (): Lock => JSON.parse(readFileSync(new URL('../../package-lock.json', import.meta.url), 'utf8')) as Lock
const nameOf = (path: string) => path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length)

test('the lock of this repository is complete and names no registry', () => {
  expect(completeLock(real())).toEqual([])
})

test('the platform read from a name is what npm wrote for every native package of this repository', () => {
  const entries = Object.entries(real().packages).filter(([, entry]) => entry.os && entry.cpu)
  expect(entries.length).toBeGreaterThan(50)
  for (const [path, entry] of entries) {
    const { os, cpu } = platformOf(nameOf(path)) ?? {}
    expect([path, os, cpu]).toEqual([path, entry.os, entry.cpu])
  }
})

test.each([
  ['@cloudflare/workerd-windows-64', { os: ['win32'], cpu: ['x64'] }],
  ['@cloudflare/workerd-darwin-arm64', { os: ['darwin'], cpu: ['arm64'] }],
  ['@oxlint/binding-linux-x64-musl', { os: ['linux'], cpu: ['x64'], libc: ['musl'] }],
  ['@chdb/lib-linux-arm64-gnu', { os: ['linux'], cpu: ['arm64'], libc: ['glibc'] }],
  ['@img/sharp-linuxmusl-x64', { os: ['linux'], cpu: ['x64'], libc: ['musl'] }],
  ['@oxlint/binding-win32-x64-msvc', { os: ['win32'], cpu: ['x64'] }],
])('the name %s states its platform', (name, platform) => {
  expect(platformOf(name)).toEqual(platform)
})

test('a name without a platform is not guessed at', () => {
  expect(platformOf('fsevents')).toBeUndefined()
  expect(platformOf('@scope/binding-linux')).toBeUndefined()
})

test('whatever optional entries are lost, they come back, and a second run changes nothing', () => {
  const names = Object.entries(real().packages)
    .filter(([path, entry]) => entry.optional && platformOf(nameOf(path)) !== undefined)
    .map(([path]) => path)
  fc.assert(
    fc.property(fc.subarray(names), (lost) => {
      const lock = real()
      for (const path of lost) delete lock.packages[path]
      completeLock(lock)
      for (const path of lost) {
        expect(lock.packages[path]).toMatchObject({ optional: true, version: real().packages[path]?.version })
      }
      expect(completeLock(lock)).toEqual([])
    }),
    { numRuns: 50 },
  )
})

test('a nested parent keeps its own version beside it', () => {
  const lock: Lock = {
    lockfileVersion: 3,
    packages: {
      'node_modules/a-linux-x64': { version: '1.0.0' },
      'node_modules/a': { version: '1.0.0', optionalDependencies: { 'a-linux-x64': '1.0.0', 'a-darwin-x64': '1.0.0' } },
      'node_modules/b/node_modules/a': { version: '2.0.0', optionalDependencies: { 'a-darwin-arm64': '2.0.0' } },
    },
  }
  completeLock(lock)
  expect(lock.packages['node_modules/a-darwin-x64']?.version).toBe('1.0.0')
  expect(lock.packages['node_modules/b/node_modules/a-darwin-arm64']).toEqual({
    version: '2.0.0',
    os: ['darwin'],
    cpu: ['arm64'],
    optional: true,
  })
})

test('a registry’s address is taken out, a workspace’s link stays', () => {
  const lock: Lock = {
    lockfileVersion: 3,
    packages: {
      'node_modules/a': { version: '1.0.0', resolved: 'https://registry.example/a.tgz' },
      'node_modules/own': { resolved: 'packages/own', link: true },
    },
  }
  expect(completeLock(lock)).toEqual(['address in node_modules/a'])
  expect(lock.packages).toEqual({ 'node_modules/a': { version: '1.0.0' }, 'node_modules/own': { resolved: 'packages/own', link: true } })
})

test('what cannot be completed is refused by name', () => {
  const lock = (name: string, version: string): Lock => ({
    lockfileVersion: 3,
    packages: { 'node_modules/a': { version: '1.0.0', optionalDependencies: { [name]: version } } },
  })
  expect(() => completeLock(lock('a-linux-x64', '^1.0.0'))).toThrow(/a-linux-x64@\^1\.0\.0: no exact version/)
  expect(() => completeLock(lock('mystery', '1.0.0'))).toThrow(/mystery: its name states no platform/)
  expect(() => completeLock({ lockfileVersion: 2, packages: {} })).toThrow(/version 2/)
})
