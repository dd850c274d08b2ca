/** `dotdo lineage`: where a run or a snapshot of a table comes from. */
import type { Lineage } from '../../base/lineage-views.ts'
import type { AnyApp, AppStub } from '../../client/connect.ts'
import { readWord } from '../arguments.ts'
import type { Command, Input } from '../command.ts'
import { exit, usageError } from '../failure.ts'
import { inspect } from '../objects.ts'
import { plain } from '../text.ts'
import { findRun } from './run.ts'

const forms = ['text', 'mermaid', 'openlineage'] as const

/** See the head of this file. */
export const lineage: Command = {
  name: 'lineage',
  summary: 'what a run and its steps called, read and wrote; who wrote a snapshot',
  takes: '[NOUN/ID] RUN | --table TABLE',
  positionals: [0, 2],
  options: {
    table: { value: 'TABLE', help: 'such as analytics.events: goes back from its snapshot' },
    snapshot: { value: 'ID', help: 'of the table; the current one without it' },
    warehouse: { value: 'BINDING', help: 'the bucket of the table, where the app has several' },
    as: { value: 'FORM', help: 'text, mermaid (a flowchart), or openlineage (an event a line)' },
  },
  about:
    'Told with the runs that led to it, of whatever object: callers, waiting runs, origins of forks. It is kept as long as the runs are.',
  examples: [
    ['npx dotdo lineage Pipeline/main $FAILED', 'what its steps did'],
    ['npx dotdo lineage $FAILED --as mermaid', 'a flowchart'],
    ['npx dotdo lineage $FAILED --as openlineage', 'events of OpenLineage'],
    ['npx dotdo lineage $FAILED --json', 'all of it, as one object'],
  ],
  asksApp: true,
  async run(input, { connect, terminal, json }) {
    const form = readWord('as', input.text('as'), forms) ?? 'text'
    const found = await find(await connect(), input)
    if (form === 'openlineage') for (const event of found.openLineage) terminal.object(event)
    else if (json) terminal.object(found)
    else if (form === 'mermaid') terminal.print(...found.drawing.split('\n').map(plain))
    // What a run is, above what its steps did.
    else terminal.print(...found.text.split('\n').map((line) => terminal.paint(line.startsWith(' ') ? undefined : 'bold', plain(line))))
    return exit.fine
  },
}

async function find(app: AppStub<AnyApp>, { positionals, text }: Input): Promise<Lineage> {
  const [table, snapshot, warehouse] = [text('table'), text('snapshot'), text('warehouse')]
  if (table === undefined) {
    if (positionals.length === 0) throw usageError('Of which run, or of which table? Name a run, or give --table.')
    if (snapshot !== undefined || warehouse !== undefined) throw usageError('--snapshot and --warehouse go with --table.')
    const { object, runId } = await findRun(app, positionals)
    return await inspect(app, object, (inspector) => inspector.lineage(runId))
  }
  if (positionals.length > 0) throw usageError('A run or a table, not both.')
  if (snapshot !== undefined && !/^\d{1,16}$/.test(snapshot))
    throw usageError(`--snapshot takes the number of a snapshot, not '${snapshot}'.`)
  return await app.dotdo.lineage({
    table,
    ...(snapshot !== undefined && { snapshotId: Number(snapshot) }),
    ...(warehouse !== undefined && { warehouse }),
  })
}
