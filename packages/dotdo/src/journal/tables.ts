import type { Migrations } from '../base/migrations.ts'

/** From this step on a run's steps are in the index of their order. It stands in version 8, as a number: a stored format. */
export const shortRun = 1000

/**
 * The journal's tables. Entries are never edited after a release, only added to; a test pins their hash.
 *
 * `dotdo_runs`: one row a run; `seq` orders them by start and is what steps refer to. Status `pruned` is a run that is being removed bite
 * by bite and is no longer shown. `args` and `result` have the forms of `Stored` in values.ts, `error` an encoded error record.
 * `dotdo_steps`: one row a step of a run, from its first attempt on. `dotdo_values`: chunks of large values, as text or as a
 * blob of compressed text (pieces.ts).
 *
 * Since version 2: `dotdo_runs.status` may also be `parked` (only waiting: nothing of it need be in memory; `wake_at` says until when,
 * null for as long as it takes), `held` (a deploy's policy keeps it from going on; `error` says why) and `undoing` (its end is in `ending`, and the
 * steps that have an `undo` are being taken back). `resumes_from` is the attempt from which resumes are counted. `parent` and `parent_step`
 * are the step of another run that waits for this one. `dotdo_steps.kind` is null for a step with a function, else `sleep`, `wait`, `run` or
 * `undo`; `waits_for` is the type of the event that a wait is open for, `signal` the id of the one it took. `dotdo_signals` keeps what was received,
 * for waits that begin late (those of a run take what is behind its `signals_from`); `dotdo_rates` the last starts under each rate.
 *
 * Since version 3: `forked_from` is the run whose results a run began with, `forked_at` the first step that it did itself (null: all of them). Columns of such
 * a run may refer to values that the other owns, which is kept as long. `dotdo_steps.within` is the step that a step was begun in; `taken` the run
 * that did a step in the place of this one.
 *
 * Since version 5: `budget` is what a run may use at most, and `price` what it (outside of its steps) or a step has used: JSON by name, null for nothing.
 *
 * Since version 6: what may be retried is found by an index, because what is received then is kept for it.
 *
 * Since version 7: `lineage` is what a run's own code, or a step, has noted: a JSON list of edges as `lineage.ts` writes them, null for none. It was a table: a
 * second row, and so a second page to flush, for each step that calls.
 *
 * Since version 8: what waits for somebody's word, places under rates by their age, and the steps of a long run in their order are
 * found by indexes. The first {@link shortRun} steps of a run are in none: a second row for each step is what most runs would pay for nothing.
 *
 * Since version 9: `dotdo_value_objects` are the prefixes of the bucket of results under which later chunks of long streams lie (spill.ts); `dropped_at` is since
 * when nothing names them any more.
 *
 * Since version 10: `dotdo_run_tags` is a row for each tag of a run, by which it is found; runs without tags have none.
 *
 * Since version 11: `dotdo_rates.given` is what the clock said when a place was given out: by that one sees that it was set back.
 *
 * Since version 12: `dotdo_value_objects.parts` is null for a stream, whose reference says how many objects it has, 0 for a value that lies in rows and is to be moved, and
 * else how many objects a value has that was.
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
  [
    `ALTER TABLE dotdo_runs ADD COLUMN version TEXT`,
    `ALTER TABLE dotdo_runs ADD COLUMN tags TEXT`,
    `ALTER TABLE dotdo_runs ADD COLUMN wake_at INTEGER`,
    `ALTER TABLE dotdo_runs ADD COLUMN resumes_from INTEGER NOT NULL DEFAULT 0`,
    `ALTER TABLE dotdo_runs ADD COLUMN parent INTEGER`,
    `ALTER TABLE dotdo_runs ADD COLUMN parent_step TEXT`,
    `ALTER TABLE dotdo_runs ADD COLUMN ending TEXT`,
    `ALTER TABLE dotdo_runs ADD COLUMN signals_from INTEGER NOT NULL DEFAULT 0`,
    `CREATE INDEX dotdo_runs_parked ON dotdo_runs (wake_at) WHERE status = 'parked'`,
    `CREATE INDEX dotdo_runs_held ON dotdo_runs (version) WHERE status = 'held'`,
    `CREATE INDEX dotdo_runs_undoing ON dotdo_runs (seq) WHERE status = 'undoing'`,
    `CREATE INDEX dotdo_runs_open_children ON dotdo_runs (parent) WHERE parent IS NOT NULL AND ended_at IS NULL`,
    `ALTER TABLE dotdo_steps ADD COLUMN kind TEXT`,
    `ALTER TABLE dotdo_steps ADD COLUMN version TEXT`,
    `ALTER TABLE dotdo_steps ADD COLUMN input TEXT`,
    `ALTER TABLE dotdo_steps ADD COLUMN due_at INTEGER`,
    `ALTER TABLE dotdo_steps ADD COLUMN waits_for TEXT`,
    `ALTER TABLE dotdo_steps ADD COLUMN signal TEXT`,
    `ALTER TABLE dotdo_steps ADD COLUMN attempt_at INTEGER`,
    `ALTER TABLE dotdo_steps ADD COLUMN attempts TEXT`,
    `ALTER TABLE dotdo_steps ADD COLUMN checkpoint TEXT`,
    `ALTER TABLE dotdo_steps ADD COLUMN checkpoint_value INTEGER`,
    `ALTER TABLE dotdo_steps ADD COLUMN undo INTEGER`,
    `CREATE INDEX dotdo_steps_waits ON dotdo_steps (waits_for) WHERE waits_for IS NOT NULL`,
    `CREATE INDEX dotdo_steps_undo ON dotdo_steps (run, undo) WHERE undo > 0`,
    `CREATE INDEX dotdo_steps_signals ON dotdo_steps (run, signal) WHERE signal IS NOT NULL`,
    `CREATE TABLE dotdo_signals (seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, type TEXT NOT NULL, at INTEGER NOT NULL, event TEXT NOT NULL, event_value INTEGER)`,
    `CREATE INDEX dotdo_signals_type ON dotdo_signals (type, seq)`,
    `CREATE TABLE dotdo_rates (key TEXT NOT NULL, n INTEGER NOT NULL, at REAL NOT NULL, PRIMARY KEY (key, n)) WITHOUT ROWID`,
  ],
  [
    `ALTER TABLE dotdo_runs ADD COLUMN forked_from INTEGER`,
    `ALTER TABLE dotdo_runs ADD COLUMN forked_at TEXT`,
    `CREATE INDEX dotdo_runs_forks ON dotdo_runs (forked_from) WHERE forked_from IS NOT NULL`,
    `ALTER TABLE dotdo_steps ADD COLUMN within TEXT`,
    `ALTER TABLE dotdo_steps ADD COLUMN taken INTEGER`,
  ],
  [
    `CREATE TABLE dotdo_lineage (
      run INTEGER NOT NULL, step TEXT NOT NULL, kind TEXT NOT NULL, target TEXT NOT NULL, what TEXT NOT NULL,
      n INTEGER NOT NULL, print INTEGER NOT NULL, input TEXT, rows INTEGER, PRIMARY KEY (run, step, kind, target, what)
    ) WITHOUT ROWID`,
  ],
  [
    `ALTER TABLE dotdo_runs ADD COLUMN budget TEXT`,
    `ALTER TABLE dotdo_runs ADD COLUMN price TEXT`,
    `ALTER TABLE dotdo_steps ADD COLUMN price TEXT`,
  ],
  [`CREATE INDEX dotdo_runs_retryable ON dotdo_runs (ended_at) WHERE status IN ('failed', 'cancelled')`],
  [
    `ALTER TABLE dotdo_runs ADD COLUMN lineage TEXT`,
    `ALTER TABLE dotdo_steps ADD COLUMN lineage TEXT`,
    `UPDATE dotdo_runs SET lineage = (SELECT json_group_array(json_array(kind, target, what, n, print, input, rows)) FROM dotdo_lineage
      WHERE run = dotdo_runs.seq AND step = '') WHERE seq IN (SELECT run FROM dotdo_lineage WHERE step = '')`,
    `UPDATE dotdo_steps SET lineage = (SELECT json_group_array(json_array(kind, target, what, n, print, input, rows)) FROM dotdo_lineage
      WHERE run = dotdo_steps.run AND step = dotdo_steps.step_id) WHERE (run, step_id) IN (SELECT run, step FROM dotdo_lineage)`,
    `DROP TABLE dotdo_lineage`,
  ],
  [
    `CREATE INDEX dotdo_runs_waiting ON dotdo_runs (started_at) WHERE status = 'held' OR (status = 'parked' AND wake_at IS NULL)`,
    `CREATE INDEX dotdo_rates_at ON dotdo_rates (at)`,
    `CREATE INDEX dotdo_steps_order ON dotdo_steps (run, ordinal) WHERE ordinal >= 1000`,
  ],
  [
    `CREATE TABLE dotdo_value_objects (prefix TEXT PRIMARY KEY, value_id INTEGER, dropped_at INTEGER) WITHOUT ROWID`,
    `CREATE INDEX dotdo_value_objects_of ON dotdo_value_objects (value_id) WHERE value_id IS NOT NULL`,
    `CREATE INDEX dotdo_value_objects_dropped ON dotdo_value_objects (dropped_at) WHERE dropped_at IS NOT NULL`,
  ],
  [
    `CREATE TABLE dotdo_run_tags (tag TEXT NOT NULL, run INTEGER NOT NULL, PRIMARY KEY (tag, run)) WITHOUT ROWID`,
    `INSERT INTO dotdo_run_tags SELECT DISTINCT value, seq FROM dotdo_runs, json_each(tags) WHERE tags IS NOT NULL`,
  ],
  [`ALTER TABLE dotdo_rates ADD COLUMN given REAL NOT NULL DEFAULT 0`],
  [
    `ALTER TABLE dotdo_value_objects ADD COLUMN parts INTEGER`,
    `CREATE INDEX dotdo_value_objects_moving ON dotdo_value_objects (prefix) WHERE parts = 0`,
  ],
]
