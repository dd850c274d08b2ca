/** Tables whose rooms have no other test of their stored form: whoever changes one adds a migration and a hash below, and edits none. */
import { createHash } from 'node:crypto'
import { expect, test } from 'vitest'
import type { Migrations } from '../../src/base/migrations.ts'
import { liveMigrations } from '../../src/events/live-log.ts'
import { singletonMigrations } from '../../src/object/singletons.ts'
import { tokenMigrations } from '../../src/object/system.ts'
import { callMigrations } from '../../src/rpc/call-keys.ts'
import { stepCallMigrations } from '../../src/rpc/step-calls.ts'

test.each<[string, Migrations, string[]]>([
  ['calls of steps', stepCallMigrations, ['0264e99be3712c57', 'e8ad50dfe94ef17b']],
  ['calls by key', callMigrations, ['4631522c7a964d46']],
  ['numbers of live events', liveMigrations, ['77147e5bea59550c']],
  ['what is known of singletons', singletonMigrations, ['604256c296f0cd67']],
  ['used one-time links', tokenMigrations, ['a6deddb74cc9f887', '5acc64e1842cc9e8']],
])('the tables of %s are what objects in the field have', (_, migrations, hashes) => {
  const pinned = migrations.map((statements) => createHash('sha256').update(JSON.stringify(statements)).digest('hex').slice(0, 16))
  expect(pinned).toEqual(hashes)
})
