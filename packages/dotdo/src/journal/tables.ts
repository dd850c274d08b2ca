import type { Migrations } from '../base/migrations.ts'

/**
 * The journal's tables. Entries are never edited after a release, only added to; a test pins their hash.
 *
 * `dotdo_runs`: one row a run; `seq` orders them by start and is what steps refer to. Status `pruned` is a run that is being removed bite
 * by bite and is no longer shown. `args` and `result` have the forms of `Stored` in values.ts, `error` an encoded error record.
 * `dotdo_steps`: one row a step of a run, from its first attempt on. `dotdo_values`: chunks of large values, as text or as a
 * blob of compressed text (pieces.ts).
 */
export const journalMigrations: Migrations = [
  [
    `CREATE TABLE dotdo_runs (
      seq INTEGER PRIMARY KEY,
      run_id TEXT NOT NULL UNIQUE,
      key TEXT,
      target TEXT NOT NULL,
      status TEXT NOT NULL,
      attempt INTEGER NOT NULL,
      args TEXT NOT NULL,
      args_value INTEGER,
      result TEXT,
      result_value INTEGER,
      error TEXT,
      started_at INTEGER NOT NULL,
      ended_at INTEGER
    )`,
    `CREATE UNIQUE INDEX dotdo_runs_key ON dotdo_runs (key) WHERE key IS NOT NULL`,
    `CREATE INDEX dotdo_runs_running ON dotdo_runs (seq) WHERE status = 'running'`,
    `CREATE INDEX dotdo_runs_ended ON dotdo_runs (ended_at) WHERE ended_at IS NOT NULL`,
    `CREATE TABLE dotdo_steps (
      run INTEGER NOT NULL,
      step_id TEXT NOT NULL,
      ordinal INTEGER NOT NULL,
      status TEXT NOT NULL,
      attempt INTEGER NOT NULL,
      started_at INTEGER NOT NULL,
      ended_at INTEGER,
      next_attempt_at INTEGER,
      progress TEXT,
      result TEXT,
      value_id INTEGER,
      error TEXT,
      PRIMARY KEY (run, step_id)
    ) WITHOUT ROWID`,
    `CREATE TABLE dotdo_values (id INTEGER PRIMARY KEY, text TEXT NOT NULL)`,
  ],
]
