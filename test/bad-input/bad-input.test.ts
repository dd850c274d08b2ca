/** Bad input gets a clear answer: one typed error that names the value and says what to do, and nothing is lost or half done. */
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { fileURLToPath } from 'node:url'
import { connect, type AnyApp, type AppStub } from 'dotdo/client'
import { signToken } from 'dotdo/tokens'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { sessionToken, startWorker, type RunningApp } from '../support/app.ts'

let running: RunningApp
let server: Server
let web: string
let app: AppStub<AnyApp>
beforeAll(async () => {
  running = await startWorker(fileURLToPath(new URL('app/wrangler.toml', import.meta.url)))
  app = running.app
  server = createServer((request, response) => {
    if (request.url === '/half.json') response.end('[{"id":1},{"id":2},{"i')
    else if (request.url === '/broken-off.json')
      response.writeHead(200, { 'content-length': '1000' }).write('[{"id":1},', () => response.destroy())
    else response.writeHead(404).end('nothing')
  }).listen(0, '127.0.0.1')
  await new Promise((listening) => server.once('listening', listening))
  web = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  await app.Shard('s').fill()
  await app.Reader('r').lay('half.json', '[{"id":1},{"id":2},{"i')
  await app.Reader('r').lay('half.ndjson', '{"id":1}\n{"id":2}\n{"i')
})
afterAll(async () => {
  server.closeAllConnections()
  server.close()
  await running.stop()
})

interface Failure extends Error {
  code?: string
  retryable?: boolean
  data?: Record<string, unknown>
}
const failure = (call: PromiseLike<unknown>): Promise<Failure> =>
  Promise.resolve(call).then(
    (value) => {
      throw new Error(`it was answered: ${JSON.stringify(value)}`)
    },
    (error: unknown) => error as Failure,
  )
const event = (more: object) => ({ type: 'click', entityId: 'u1', payload: {}, ts: Date.UTC(2026, 0, 2), ...more })
const as = async (token: string) => {
  const client = connect(running.url, { token })
  return failure(client.Shard('s').scanner()).finally(() => client.close())
}

interface Case {
  call: () => Promise<Failure>
  code: string
  data: object
  /** The value, and what to do, in the message. */
  says: RegExp[]
  retryable?: boolean
}

const cases: Record<string, Case> = {
  'a noun that is unknown to a client': {
    call: () => failure(app.Nowhere('x').go()),
    code: 'NOUN_UNKNOWN',
    data: { noun: 'Nowhere', known: ['Reader', 'Shard', 'Sink'] },
    says: [/"Nowhere"/, /Reader, Shard, Sink/, /Export the class/],
  },
  'a noun that is unknown to an object': {
    call: () => failure(app.Shard('s').nowhere()),
    code: 'NOUN_UNKNOWN',
    data: { noun: 'Nowhere' },
    says: [/"Nowhere"/, /Reader, Shard, Sink/, /Export the class/],
  },
  'a method that does not exist': {
    call: () => failure(app.Shard('s').explode()),
    code: 'METHOD_UNKNOWN',
    data: { noun: 'Shard', method: 'explode' },
    says: [/Shard/, /"explode"/, /It has: fill, nowhere, query, scanner/, /Call one of these/],
  },
  'a time of 25:00': {
    call: () => failure(app.Sink('s').daily('25:00')),
    code: 'INVALID_TIME',
    data: { time: '25:00' },
    says: [/25:00/, /Write '2am'/],
  },
  "a time of 9 am o'clock": {
    call: () => failure(app.Sink('s').daily("9 am o'clock")),
    code: 'INVALID_TIME',
    data: { time: "9 am o'clock" },
    says: [/9 am o'clock/, /Write '2am'/],
  },
  'two steps with one id for different work': {
    call: () => failure(app.Sink('twice').twice()),
    code: 'STEP_ID_REUSED',
    data: { stepId: 'load' },
    says: [/'load'/, /=> 1/, /=> 2/, /Give each its own id/],
  },
  'a record without type': {
    call: () => failure(app.Sink('records').load([event({}), event({ type: undefined })])),
    code: 'INVALID_RECORD',
    data: { record: 2, column: 'type' },
    says: [/Record 2/, /no type/, /give a string/, /Nothing was committed/],
  },
  'a record whose ts is no time': {
    call: () => failure(app.Sink('records').load([event({ ts: 'yesterday' })])),
    code: 'INVALID_RECORD',
    data: { record: 1, column: 'ts' },
    says: [/Record 1/, /ts/, /give a Date, epoch milliseconds/, /yesterday/, /Nothing was committed/],
  },
  'SQL that does not parse': {
    call: () => failure(app.Shard('s').query('SELECT user_id,\n  COUNT(*) FORM events')),
    code: 'SQL_SYNTAX',
    data: { line: 2 },
    says: [/line 2/i, /FORM/, /\^/],
  },
  'SQL that could only be answered wrongly': {
    call: () => failure(app.Shard('s').query('SELECT a.user_id FROM events a JOIN events b ON a.user_id = b.user_id')),
    code: 'SQL_UNSUPPORTED',
    data: {},
    says: [/JOIN/i, /\^/],
  },
  'SQL that overflows the parser': {
    call: () => failure(app.Shard('s').query(`SELECT user_id FROM events WHERE ${Array(800).fill('amount = 1').join(' OR ')}`)),
    code: 'QUERY_TOO_LARGE',
    data: {},
    says: [/characters/, /ORs/, /IN with a list/],
  },
  'SQL over a column that is not there': {
    call: () => failure(app.Shard('s').query('SELECT wrong FROM events')),
    code: 'COLUMN_UNKNOWN',
    data: {},
    says: [/wrong/, /user_id, amount/],
  },
  'a source that answers 404': {
    call: () => failure(app.Reader('r').read(`${web}/nowhere.json`)),
    code: 'SOURCE_NOT_FOUND',
    data: { status: 404 },
    says: [/nowhere\.json/, /404/, /Check the address/],
  },
  'a source that no bucket has': {
    call: () => failure(app.Reader('r').read('s3://data-lake/nowhere.json')),
    code: 'SOURCE_NOT_FOUND',
    data: { source: 's3://data-lake/nowhere.json' },
    says: [/s3:\/\/data-lake\/nowhere\.json/, /Check the address/],
  },
  'a source of a bucket that is unknown': {
    call: () => failure(app.Reader('r').read('s3://elsewhere/x.json')),
    code: 'BUCKET_UNKNOWN',
    data: { bucket: 'elsewhere' },
    says: [/elsewhere/, /R2_BUCKET|data-lake/],
  },
  'a name of a source that nobody declared': {
    call: () => failure(app.Reader('r').read('users')),
    code: 'SOURCE_UNKNOWN',
    data: {},
    says: [/'users'/, /Declare it in sources/],
  },
  'half a JSON document in a bucket': {
    call: () => failure(app.Reader('r').read('s3://data-lake/half.json')),
    code: 'SOURCE_MALFORMED',
    data: { source: 's3://data-lake/half.json' },
    says: [/half\.json/, /byte 22/, /cut off/, /\{\\"i/, /Write it anew/],
  },
  'half a JSON document from the web': {
    call: () => failure(app.Reader('r').read(`${web}/half.json`)),
    code: 'SOURCE_MALFORMED',
    data: {},
    says: [/half\.json/, /byte 22/, /cut off/, /\{\\"i/, /Write it anew/],
  },
  'half a line of NDJSON': {
    call: () => failure(app.Reader('r').read('s3://data-lake/half.ndjson')),
    code: 'SOURCE_MALFORMED',
    data: { line: 3 },
    says: [/half\.ndjson/, /line 3/, /Write it anew/],
  },
  'a document whose connection breaks off': {
    call: () => failure(app.Reader('r').read(`${web}/broken-off.json`)),
    code: 'SOURCE_UNAVAILABLE',
    data: {},
    says: [/broken-off\.json/],
    retryable: true,
  },
  'a token that is wrong': {
    call: async () => as(await sessionToken('another secret, as long as it must be')),
    code: 'TOKEN_INVALID',
    data: { reason: 'its signature is not of this app' },
    says: [/signature/, /Open the link/],
  },
  'a token of the wrong kind': {
    call: async () => as(await signToken({ kind: 'once', id: 'x', expiresAt: Date.now() + 60_000 }, running.secret)),
    code: 'TOKEN_INVALID',
    data: {},
    says: [/'once'/, /'session'/],
  },
  'a token that has expired': {
    call: async () => as(await sessionToken(running.secret, -1000)),
    code: 'TOKEN_EXPIRED',
    data: { expiredAt: expect.any(Number) },
    says: [/expired at 20\d\d-/, /Open a new link/],
  },
}

test.each(Object.entries(cases))('%s', async (_, { call, code, data, says, retryable = false }) => {
  const error = await call()
  expect({ code: error.code, data: error.data, retryable: error.retryable }, error.message).toMatchObject({ code, data, retryable })
  for (const part of says) expect(error.message).toMatch(part)
})

test('the caret stands below the fault', async () => {
  const { message } = await cases['SQL that does not parse']!.call()
  const lines = message.split('\n')
  const at = lines.findIndex((line) => /^\s*(?:\|\s*)?\^/.test(line))
  expect(lines[at - 1]!.slice(lines[at]!.indexOf('^'))).toMatch(/^(?:FORM|events)/)
})

describe('nothing is lost, and nothing half done', () => {
  test('a refused record leaves the table as it was, and the good ones are loaded by the next call', async () => {
    await app.Sink('kept').load([event({}), event({})])
    const before = await app.Sink('kept').table()
    expect(await failure(app.Sink('kept').load([event({}), event({ ts: Number.NaN })]))).toMatchObject({ code: 'INVALID_RECORD' })
    expect(await app.Sink('kept').table()).toEqual(before)
    await app.Sink('kept').load([event({})])
    expect(await app.Sink('kept').table()).toMatchObject({ rows: before.rows + 1 })
  })

  test('an R2 write that fails halfway through a load is told as retryable and leaves the table as it was; tried again, it loads each row once', async () => {
    const days = [1, 2, 3, 4].map((day) => event({ ts: Date.UTC(2026, 1, day) }))
    await app.Sink('halfway').load([event({})])
    const before = await app.Sink('halfway').table()
    await app.Sink('halfway').breakBucket(true)
    const error = await failure(app.Sink('halfway').load(days))
    expect(error).toMatchObject({ code: 'STORAGE_WRITE_FAILED', retryable: true })
    expect(error.message).toMatch(/analytics\/events/)
    expect(await app.Sink('halfway').table()).toEqual(before)
    await app.Sink('halfway').breakBucket(false)
    await app.Sink('halfway').load(days)
    expect(await app.Sink('halfway').table()).toMatchObject({ rows: before.rows + 4 })
  })

  test('the failed runs stand in the object with their reasons, for whoever looks', async () => {
    const [run] = await app.dotdo.object('Reader', 'r').runs({ limit: 1 })
    const { steps } = await app.dotdo.object('Reader', 'r').run(run!.runId)
    expect(run).toMatchObject({ status: 'failed', error: { code: 'SOURCE_UNAVAILABLE' } })
    expect(steps).toMatchObject([{ stepId: 'read', status: 'failed', error: { code: 'SOURCE_UNAVAILABLE' } }])
  })
})
