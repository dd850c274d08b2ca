/** `dotdo query`: SQL, over what an app lets be asked. */
import type { AnyApp, AppStub } from '../../client/connect.ts'
import { formatMs } from '../../base/durations.ts'
import { DotdoError } from '../../base/errors.ts'
import { readObject, type ObjectName } from '../arguments.ts'
import type { Command } from '../command.ts'
import { answerOf, exit, usageError } from '../failure.ts'
import { inspect, nameOf, objectsOf } from '../objects.ts'
import { valueTable } from '../table.ts'

/** See the head of this file. */
export const query: Command = {
  name: 'query',
  summary: 'SQL, over what an object lets be asked',
  takes: "'SELECT …' [NOUN/ID]",
  positionals: [1, 2],
  options: {},
  about: 'Calls the method query(sql) of the object; without NOUN/ID, of the one singleton that has such a method.',
  examples: [
    ["npx dotdo query 'SELECT COUNT(*) AS flights FROM flights'", 'a table'],
    ["npx dotdo query 'SELECT origin FROM flights LIMIT 3' Pipeline/main --json", 'a row a line'],
  ],
  asksApp: true,
  async run({ positionals }, { connect, terminal, json }) {
    const [sql = '', named] = positionals
    const app = await connect()
    const object = named === undefined ? await findQueryable(app) : await requireQuery(app, readObject(named))
    const from = performance.now()
    const objects = app as unknown as Record<string, (name: string) => { query(sql: string): PromiseLike<unknown> }>
    const answer = await answerOf(objects[object.noun]!(object.name).query(sql))
    if (!isRows(answer))
      throw new DotdoError(
        'QUERY_UNAVAILABLE',
        `query(sql) of ${nameOf(object)} does not answer with a list of rows. Let it give what QueryCoordinator.query gives.`,
        { data: { object: nameOf(object) } },
      )
    if (json) for (const row of answer) terminal.object(row)
    else {
      // One by one: a call takes some 100,000 arguments, and an answer may have more rows.
      for (const line of valueTable(answer, terminal)) terminal.print(line)
      terminal.note(
        terminal.paintError('dim', `${answer.length} ${answer.length === 1 ? 'row' : 'rows'} in ${formatMs(performance.now() - from)}`),
      )
    }
    return exit.fine
  },
}

function isRows(answer: unknown): answer is Record<string, unknown>[] {
  return Array.isArray(answer) && answer.every((row) => typeof row === 'object' && row !== null && !Array.isArray(row))
}

const howTo = 'Give the object one: async query(sql: string) { return await new QueryCoordinator(scanners).query(sql) }'

/** The object, if it can be asked. @throws `QUERY_UNAVAILABLE` */
async function requireQuery(app: AppStub<AnyApp>, object: ObjectName): Promise<ObjectName> {
  if (await canQuery(app, object)) return object
  throw new DotdoError('QUERY_UNAVAILABLE', `${nameOf(object)} has no method query(sql). ${howTo}`, { data: { object: nameOf(object) } })
}

/** The one singleton that can be asked. @throws `QUERY_UNAVAILABLE` where there is none, `USAGE_INVALID` where there are several */
async function findQueryable(app: AppStub<AnyApp>): Promise<ObjectName> {
  const objects = await objectsOf(app, undefined)
  const able = await Promise.all(objects.map((object) => canQuery(app, object)))
  const found = objects.filter((_, index) => able[index])
  if (found.length > 1) throw usageError(`Several objects can be asked: ${found.map(nameOf).join(', ')}. Name one behind the SQL.`)
  if (found[0]) return found[0]
  const names = objects.map(nameOf)
  throw new DotdoError(
    'QUERY_UNAVAILABLE',
    `None of ${names.join(', ')} has a method query(sql). ${howTo} Or name another object behind the SQL.`,
    {
      data: { objects: names },
    },
  )
}

async function canQuery(app: AppStub<AnyApp>, object: ObjectName): Promise<boolean> {
  const { methods } = await inspect(app, object, (inspector) => inspector.describe())
  return methods.includes('query')
}
