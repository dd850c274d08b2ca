/** Data of a test, laid where the app reads it: in buckets, or behind addresses that answer. */
import { DotdoError } from '../base/errors.ts'
import type { SourceDeclarations } from '../sources/ports.ts'
import type { MemoryBucket } from './bucket.ts'

/** Rows, which are written in the format that the name of their file says (NDJSON where it says none); or a file as it is. */
export type FileContent = readonly object[] | string | Uint8Array

/** What stands at an address: one file's content, or files by name below a prefix; for `https:` an answer's body, or what makes the answer. */
export type SourceContent = FileContent | { readonly [file: string]: FileContent } | ((request: Request) => Response | Promise<Response>)

/** What an app's sources have become. */
export interface LaidOut {
  /** The names that `extract` and addresses know. */
  declarations: SourceDeclarations
  /** What answers requests, by address. */
  answers: Map<string, (request: Request) => Response | Promise<Response>>
}

/**
 * Lays out sources, each by a name that the app declares, by a new name, or by its address.
 * @param bucketOf the bucket behind a binding
 * @param mainBinding the binding of buckets that the app says nothing of
 * @throws `SOURCE_UNKNOWN` for an address that is no source
 */
export function layOut(
  sources: Readonly<Record<string, SourceContent>>,
  declared: SourceDeclarations,
  bucketOf: (binding: string) => MemoryBucket | undefined,
  mainBinding: string,
): LaidOut {
  const declarations: Record<string, string> = { ...declared }
  const answers: LaidOut['answers'] = new Map()
  for (const [name, content] of Object.entries(sources)) {
    let address = name.includes('://') ? name : declarations[name]
    if (address === undefined) declarations[name] = address = `s3://sources/${name}/`
    if (/^https?:/.test(address)) {
      answers.set(address, typeof content === 'function' ? content : () => answerOf(content, address))
      continue
    }
    const [, scheme, bucket = '', key = ''] = /^(s3|r2):\/\/([^/]+)\/(.*)$/.exec(address) ?? []
    if (scheme === undefined || typeof content === 'function') throw unknownSource(name, address)
    if (scheme === 's3') declarations[bucket] ??= mainBinding
    const target = bucketOf(scheme === 'r2' ? bucket : declarations[bucket]!)
    if (!target) throw unknownSource(name, address)
    for (const [path, file] of filesOf(key, content)) target.store(path, isRaw(file) ? file : encode(path, file))
  }
  return { declarations, answers }
}

const isRaw = (content: FileContent): content is string | Uint8Array => typeof content === 'string' || content instanceof Uint8Array

function filesOf(key: string, content: FileContent | { readonly [file: string]: FileContent }): [string, FileContent][] {
  const isOne = isRaw(content as FileContent) || Array.isArray(content)
  if (!isOne) return Object.entries(content as Record<string, FileContent>).map(([file, it]) => [`${key}${file}`, it])
  return [[key === '' || key.endsWith('/') ? `${key}data.ndjson` : key, content as FileContent]]
}

function encode(path: string, rows: readonly object[]): string {
  if (path.endsWith('.csv')) return csv(rows)
  if (path.endsWith('.json')) return JSON.stringify(rows)
  return rows.map((row) => `${JSON.stringify(row)}\n`).join('')
}

function csv(rows: readonly object[]): string {
  const names = [...new Set(rows.flatMap((row) => Object.keys(row)))]
  const field = (value: unknown) =>
    value === undefined || value === null ? '' : quoted(typeof value === 'object' ? JSON.stringify(value) : String(value as string))
  const lines = [names.map(quoted), ...rows.map((row) => names.map((name) => field((row as Record<string, unknown>)[name])))]
  return lines.map((line) => `${line.join(',')}\n`).join('')
}

const quoted = (text: string): string => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text)

function answerOf(content: Exclude<SourceContent, (...args: never) => unknown>, address: string): Response {
  if (isRaw(content as FileContent)) return new Response(content as string)
  const path = new URL(address).pathname
  const isLines = /\.(?:csv|ndjson|jsonl)$/.test(path)
  return isLines ? new Response(encode(path, content as readonly object[])) : Response.json(content)
}

function unknownSource(name: string, address: string): DotdoError {
  return new DotdoError(
    'SOURCE_UNKNOWN',
    `The test's source ${JSON.stringify(name)} is at ${address}, where nothing can be laid. Give rows, a text or bytes for a name, an s3:// or r2:// address of a bucket of the app, or an https:// address.`,
    { data: { name, address } },
  )
}
