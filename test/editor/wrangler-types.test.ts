/** What `wrangler types` writes is enough: nouns and bindings have their types, and nobody has written a line for it. */
import { execFile } from 'node:child_process'
import { mkdir, symlink, writeFile } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { root, temporary } from '../support/app.ts'

const files: Record<string, string> = {
  'wrangler.toml': `
name = "typed"
main = "src/index.ts"
compatibility_date = "2026-11-01"
compatibility_flags = ["nodejs_compat"]
[[r2_buckets]]
binding = "R2_BUCKET"
bucket_name = "data-lake"
[[durable_objects.bindings]]
name = "STAGE"
class_name = "Stage"
[[migrations]]
tag = "v1"
new_sqlite_classes = ["Stage", "Pipeline", "DotdoSystem"]
`,
  'src/index.ts': `
import { DO, serve } from 'dotdo'
export { DotdoSystem } from 'dotdo'
export const Stage = DO.extend({
  run(batch: number[]) { return batch },
})
export const Pipeline = DO.extend({
  getStage(n: number) { return this.Stage('stage ' + n) },
  async right(batch: number[]) {
    const result: number[] = await this.Pipeline('main').getStage(0).run(batch)
    const bucket: R2Bucket = this.env.R2_BUCKET
    return [result, bucket]
  },
  async wrong() {
    const result: string = await this.Pipeline('main').getStage(0).run([1])
    const bucket: string = this.env.R2_BUCKET
    return [result, bucket]
  },
})
export default serve()
`,
}

let folder: Awaited<ReturnType<typeof temporary>>

beforeAll(async () => {
  folder = await temporary('wrangler-types')
  await symlink(join(root, 'node_modules'), join(folder.path, 'node_modules'))
  await mkdir(join(folder.path, 'src'))
  for (const [path, text] of Object.entries(files)) await writeFile(join(folder.path, path), text)
  const template = join(root, 'packages/create-dotdo/template/tsconfig.json')
  await writeFile(join(folder.path, 'tsconfig.json'), JSON.stringify({ extends: template, include: ['src', 'worker-configuration.d.ts'] }))
})

afterAll(() => folder.remove())

/** Runs a program of this repository in the folder; what it prints, whether it fails or not. */
async function run(program: string, ...args: string[]): Promise<string> {
  const env = {
    ...process.env,
    PATH: `${join(root, 'node_modules/.bin')}${delimiter}${process.env['PATH']}`,
    WRANGLER_SEND_METRICS: 'false',
    WRANGLER_WRITE_LOGS: 'false',
  }
  return await promisify(execFile)(program, args, { cwd: folder.path, env, shell: process.platform === 'win32' }).then(
    ({ stdout }) => stdout,
    (failure: { stdout: string }) => failure.stdout,
  )
}

test('nouns and bindings are typed by the file that wrangler writes, and by nothing before it', async () => {
  // Without it nouns and bindings are free: `any` fits everything.
  expect(await run('tsc', '--pretty', 'false')).toBe('')
  await run('wrangler', 'types', '--include-runtime=false')
  const messages = (await run('tsc', '--pretty', 'false')).split('\n').filter((line) => line.includes('error TS'))
  expect(messages).toEqual([
    "src/index.ts(15,11): error TS2322: Type 'number[]' is not assignable to type 'string'.",
    "src/index.ts(16,11): error TS2322: Type 'R2Bucket' is not assignable to type 'string'.",
  ])
})
