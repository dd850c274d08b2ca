import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { openDuckDb, python, runPython } from './support/python.ts'

const pinned = Object.fromEntries(
  readFileSync(new URL('./requirements.txt', import.meta.url), 'utf8')
    .split('\n')
    .filter((line) => line.includes('=='))
    .map((line) => line.split('==')),
) as Record<string, string>

describe.skipIf(python === undefined)('the foreign engines', () => {
  test('PyIceberg is there in the pinned version', async () => {
    const version = await runPython<string>('import json, pyiceberg; print(json.dumps(pyiceberg.__version__))')
    expect(version).toBe(pinned['pyiceberg'])
  })

  test('DuckDB has its Iceberg extension loaded, and those that it needs', async () => {
    const program = `${openDuckDb}
import json
loaded = con.sql("SELECT extension_name FROM duckdb_extensions() WHERE loaded AND extension_name IN ('avro', 'httpfs', 'iceberg') ORDER BY 1").fetchall()
print(json.dumps([duckdb.__version__, [name for name, in loaded]]))`
    expect(await runPython(program)).toEqual([pinned['duckdb'], ['avro', 'httpfs', 'iceberg']])
  })

  test('a program that fails gives Python’s own traceback', async () => {
    await expect(runPython('raise ValueError("because")')).rejects.toThrow(/ValueError: because/)
  })
})
