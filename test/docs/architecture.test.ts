/** ARCHITECTURE.md names every room, every dependency with its licence, and the versions of what is stored. */
import { existsSync, readdirSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { liveMigrations } from '../../packages/dotdo/dist/events/live-log.js'
import { subscriptionMigrations } from '../../packages/dotdo/dist/events/subscription-tables.js'
import { outboxMigrations } from '../../packages/dotdo/dist/events/tables.js'
import { feedMigrations } from '../../packages/dotdo/dist/fleet/feed.js'
import { shardMigrations } from '../../packages/dotdo/dist/fleet/tables.js'
import { catalogTables } from '../../packages/dotdo/dist/iceberg/catalog-tables.js'
import { journalMigrations } from '../../packages/dotdo/dist/journal/tables.js'
import { callMigrations } from '../../packages/dotdo/dist/rpc/call-keys.js'
import { grantMigrations } from '../../packages/dotdo/dist/rpc/grants.js'
import { linkVersion } from '../../packages/dotdo/dist/rpc/frames.js'
import { stepCallMigrations } from '../../packages/dotdo/dist/rpc/step-calls.js'
import { migrations as scheduleMigrations } from '../../packages/dotdo/dist/schedule/tables.js'
import { root } from '../support/app.ts'

const page = await readFile(join(root, 'ARCHITECTURE.md'), 'utf8')

/** The rows of the tables below one heading, cell by cell. */
function rowsBelow(heading: string): string[][] {
  const section = page.split(/^## /m).find((text) => text.startsWith(`${heading}\n`)) ?? ''
  const rows = [...section.matchAll(/^\| (.+) \|$/gm)].map((match) => match[1]!.split(' | '))
  return rows.filter(([first]) => !['room', 'package', 'format', 'what'].includes(first!))
}

const inCode = (cell: string) => [...cell.matchAll(/`([^`]+)`/g)].map((match) => match[1]!)

async function dependencies(): Promise<string[]> {
  const files = ['package.json', 'packages/dotdo/package.json', 'packages/console/package.json', 'packages/create-dotdo/package.json']
  const names = new Set<string>()
  for (const file of files) {
    const { dependencies = {}, devDependencies = {} } = JSON.parse(await readFile(join(root, file), 'utf8')) as Record<
      string,
      Record<string, string>
    >
    for (const name of Object.keys({ ...dependencies, ...devDependencies })) if (name !== 'dotdo') names.add(name)
  }
  return [...names].sort()
}

describe('ARCHITECTURE.md', () => {
  test('has one sentence for each room and package, and for no other', () => {
    const rooms = readdirSync(join(root, 'packages/dotdo/src'), { withFileTypes: true }).filter((it) => it.isDirectory())
    const packages = readdirSync(join(root, 'packages')).filter((name) => name !== 'dotdo')
    const expected = [...rooms.map(({ name }) => `packages/dotdo/src/${name}`), ...packages.map((name) => `packages/${name}`)]
    const rows = rowsBelow('The rooms')
    expect(rows.map(([room]) => inCode(room!)[0] ?? '').sort()).toEqual(expected.sort())
    expect(rows.filter(([, sentence]) => !/^[A-Z`].*\.$/.test(sentence!))).toEqual([])
  })

  test('lists every dependency with the licence that its package states', async () => {
    const stated = new Map(rowsBelow('Dependencies').flatMap(([names, licence]) => inCode(names!).map((name) => [name, licence!] as const)))
    const actual = new Map<string, string>()
    for (const name of await dependencies()) {
      const { license } = JSON.parse(await readFile(join(root, 'node_modules', name, 'package.json'), 'utf8')) as { license: string }
      actual.set(name, license)
    }
    expect(Object.fromEntries(stated)).toEqual(Object.fromEntries(actual))
  })

  test('states the versions of stored formats as the code has them', () => {
    const stated = Object.fromEntries(rowsBelow('Stored formats').map(([, version, where]) => [inCode(where!)[0], version]))
    expect(stated).toMatchObject({
      'rpc/grants.ts': String(grantMigrations.length),
      'journal/tables.ts': String(journalMigrations.length),
      'schedule/tables.ts': String(scheduleMigrations.length),
      'events/tables.ts': String(outboxMigrations.length),
      'events/subscription-tables.ts': String(subscriptionMigrations.length),
      'events/live-log.ts': String(liveMigrations.length),
      'fleet/tables.ts': `${shardMigrations.length}; ${feedMigrations.length}`,
      'rpc/call-keys.ts': String(callMigrations.length),
      'rpc/step-calls.ts': String(stepCallMigrations.length),
      'iceberg/catalog-tables.ts': String(catalogTables.length),
      'rpc/frames.ts': String(linkVersion),
    })
  })

  test('names files that exist', () => {
    const named = [...rowsBelow('Bounds'), ...rowsBelow('Stored formats')].flatMap((row) => inCode(row.at(-1)!))
    expect(named.length).toBeGreaterThan(20)
    expect(named.filter((path) => !existsSync(join(root, 'packages/dotdo/src', path)))).toEqual([])
  })

  test('speaks of no file that is not there', () => {
    const files = new Set(
      readdirSync(join(root, 'packages/dotdo/src'), { recursive: true, encoding: 'utf8' }).map((path) => basename(path)),
    )
    const named = inCode(page.replace(/^```[\s\S]*?^```$/gm, '')).filter((code) => /^[\w/-]+\.ts$/.test(code))
    expect(named.length).toBeGreaterThan(60)
    expect(named.filter((path) => !files.has(basename(path)))).toEqual([])
  })
})
