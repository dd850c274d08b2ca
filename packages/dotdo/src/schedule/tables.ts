import type { Migrations } from '../base/migrations.ts'

/**
 * The tables of this room. Entries are never edited after a release, only added to; a test pins them. The version also covers the JSON in
 * `policies` and `takes`; `declared` and `recurrence` carry their own.
 *
 * `dotdo_schedules`: one row a schedule. `dotdo_partitions`: stretches of time that runs of a schedule answer for, which do not overlap; what
 * no stretch covers is missing. `dotdo_backfills`: one row a backfill.
 */
export const migrations: Migrations = [
  [
    `CREATE TABLE dotdo_schedules (
      id TEXT PRIMARY KEY, status TEXT NOT NULL, paused INTEGER NOT NULL, declared TEXT NOT NULL, recurrence TEXT NOT NULL,
      pattern TEXT NOT NULL, policies TEXT NOT NULL, next_at INTEGER, wake_at INTEGER, last_scheduled_at INTEGER,
      covered_to INTEGER, last_fired_at INTEGER, last_run_id TEXT, position INTEGER NOT NULL, changed_at INTEGER NOT NULL
    ) WITHOUT ROWID`,
    `CREATE INDEX dotdo_schedules_wake ON dotdo_schedules (wake_at) WHERE status = 'active' AND paused = 0`,
  ],
  [
    `ALTER TABLE dotdo_schedules ADD COLUMN open_run TEXT`,
    `ALTER TABLE dotdo_schedules ADD COLUMN failures INTEGER NOT NULL DEFAULT 0`,
    `ALTER TABLE dotdo_schedules ADD COLUMN fired INTEGER NOT NULL DEFAULT 0`,
    `CREATE TABLE dotdo_partitions (
      schedule TEXT NOT NULL, end_at INTEGER NOT NULL, start_at INTEGER NOT NULL, state TEXT NOT NULL, run_id TEXT, backfill TEXT,
      again INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (schedule, end_at)
    ) WITHOUT ROWID`,
    `CREATE INDEX dotdo_partitions_running ON dotdo_partitions (schedule, end_at) WHERE state = 'running'`,
    `CREATE TABLE dotdo_backfills (
      id TEXT PRIMARY KEY, schedule TEXT NOT NULL, status TEXT NOT NULL, from_at INTEGER NOT NULL, to_at INTEGER NOT NULL,
      up_to INTEGER NOT NULL, windows INTEGER, takes TEXT NOT NULL, concurrency INTEGER NOT NULL, running INTEGER NOT NULL DEFAULT 0,
      done INTEGER NOT NULL DEFAULT 0, failed INTEGER NOT NULL DEFAULT 0, cancelled INTEGER NOT NULL DEFAULT 0,
      passed INTEGER NOT NULL DEFAULT 0, started_at INTEGER NOT NULL, ended_at INTEGER
    ) WITHOUT ROWID`,
    `CREATE INDEX dotdo_backfills_schedule ON dotdo_backfills (schedule, id)`,
  ],
  [`ALTER TABLE dotdo_backfills ADD COLUMN budget TEXT`],
  [`CREATE INDEX dotdo_schedules_retired ON dotdo_schedules (changed_at) WHERE status = 'retired'`],
]
