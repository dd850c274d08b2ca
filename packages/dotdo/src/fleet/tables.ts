import type { Migrations } from '../base/migrations.ts'

/**
 * The tables of one shard of the fleet's index. Entries are never edited after a release, only added to; a test pins them.
 *
 * `fact` is JSON of what `base/fleet-views.ts` and `base/views.ts` describe. `v` is the number of the fact that a row has (`facts.ts`).
 * `dotdo_fleet_runs.scheduled_at` is that of a run which an instant of its schedule began: runs by hand and of backfills have none, so that they are
 * never late. `dotdo_fleet_schedules`: `late_at` is the instant whose run was not done in time, `late_step` the deadline that was told of it,
 * `done_to` the newest instant that is done, and `due_at` when somebody has to look next. `dotdo_fleet_alerts`: one row from when something goes wrong until
 * it is well again.
 *
 * Since version 2: the few schedules that are late, failing or paused are found by indexes, in their order. Since version 3: an alert has the last of its
 * targets that could not be told, as JSON (`untold`).
 */
export const shardMigrations: Migrations = [
  [
    `CREATE TABLE dotdo_fleet_objects (
      object TEXT PRIMARY KEY, noun TEXT NOT NULL, told_at INTEGER NOT NULL, letters INTEGER NOT NULL DEFAULT 0, letters_v INTEGER NOT NULL DEFAULT 0,
      rules TEXT NOT NULL DEFAULT '[]', rules_v INTEGER NOT NULL DEFAULT 0
    ) WITHOUT ROWID`,
    `CREATE TABLE dotdo_fleet_runs (
      row INTEGER PRIMARY KEY, object TEXT NOT NULL, run_id TEXT NOT NULL, v INTEGER NOT NULL, noun TEXT NOT NULL, status TEXT NOT NULL,
      started_at INTEGER NOT NULL, ended_at INTEGER, kind TEXT NOT NULL, subject TEXT NOT NULL, scheduled_at INTEGER, fact TEXT NOT NULL,
      UNIQUE (object, run_id)
    )`,
    `CREATE INDEX dotdo_fleet_runs_started ON dotdo_fleet_runs (started_at)`,
    `CREATE INDEX dotdo_fleet_runs_noun ON dotdo_fleet_runs (noun, started_at)`,
    `CREATE INDEX dotdo_fleet_runs_status ON dotdo_fleet_runs (status, started_at) WHERE status <> 'done'`,
    `CREATE INDEX dotdo_fleet_runs_open ON dotdo_fleet_runs (object, subject, scheduled_at)
      WHERE scheduled_at IS NOT NULL AND status <> 'done' AND status <> 'cancelled'`,
    `CREATE TABLE dotdo_fleet_tags (tag TEXT NOT NULL, started_at INTEGER NOT NULL, row INTEGER NOT NULL, PRIMARY KEY (tag, started_at, row)) WITHOUT ROWID`,
    `CREATE TABLE dotdo_fleet_schedules (
      object TEXT NOT NULL, id TEXT NOT NULL, v INTEGER NOT NULL, noun TEXT NOT NULL, next_at INTEGER, paused INTEGER NOT NULL, failures INTEGER NOT NULL,
      fact TEXT NOT NULL, done_to INTEGER, late_at INTEGER, late_step INTEGER, due_at INTEGER, PRIMARY KEY (object, id)
    ) WITHOUT ROWID`,
    `CREATE INDEX dotdo_fleet_schedules_due ON dotdo_fleet_schedules (due_at) WHERE due_at IS NOT NULL`,
    `CREATE INDEX dotdo_fleet_schedules_next ON dotdo_fleet_schedules (coalesce(next_at, 9007199254740991))`,
    `CREATE TABLE dotdo_fleet_letters (
      object TEXT NOT NULL, id TEXT NOT NULL, noun TEXT NOT NULL, died_at INTEGER NOT NULL, fact TEXT NOT NULL, PRIMARY KEY (object, id)
    ) WITHOUT ROWID`,
    `CREATE INDEX dotdo_fleet_letters_died ON dotdo_fleet_letters (died_at)`,
    `CREATE TABLE dotdo_fleet_alerts (
      id INTEGER PRIMARY KEY AUTOINCREMENT, object TEXT NOT NULL, noun TEXT NOT NULL, subject_kind TEXT NOT NULL, subject TEXT NOT NULL, kind TEXT NOT NULL,
      opened_at INTEGER NOT NULL, last_at INTEGER NOT NULL, told_at INTEGER NOT NULL, count INTEGER NOT NULL, closed_at INTEGER, run_id TEXT,
      scheduled_at INTEGER, deadline_ms INTEGER, error TEXT
    )`,
    `CREATE UNIQUE INDEX dotdo_fleet_alerts_open ON dotdo_fleet_alerts (object, subject_kind, subject, kind) WHERE closed_at IS NULL`,
    `CREATE INDEX dotdo_fleet_alerts_opened ON dotdo_fleet_alerts (opened_at)`,
    `CREATE TABLE dotdo_fleet_targets (key TEXT PRIMARY KEY, target TEXT NOT NULL) WITHOUT ROWID`,
    `CREATE TABLE dotdo_fleet_state (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID`,
  ],
  [
    `CREATE INDEX dotdo_fleet_schedules_late ON dotdo_fleet_schedules (coalesce(next_at, 9007199254740991)) WHERE late_at IS NOT NULL`,
    `CREATE INDEX dotdo_fleet_schedules_failing ON dotdo_fleet_schedules (coalesce(next_at, 9007199254740991)) WHERE failures > 0`,
    `CREATE INDEX dotdo_fleet_schedules_paused ON dotdo_fleet_schedules (coalesce(next_at, 9007199254740991)) WHERE paused = 1`,
  ],
  ['ALTER TABLE dotdo_fleet_alerts ADD COLUMN untold TEXT'],
]
