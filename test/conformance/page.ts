/** The suite as a page has it: bundled, and run case by case by the test of the browser. */
import { allCases } from '../../packages/dotdo/test/conformance/cases/all.ts'
import { runCase } from '../../packages/dotdo/test/conformance/kit.ts'
import { clients, type Address } from './clients.ts'

/** Runs one case over one way in. Answers `passed`, or what went wrong. */
export async function run(client: string, at: Address, title: string): Promise<string> {
  const it = allCases.find(({ group, title: last }) => `${group}: ${last}` === title)!
  const opened = clients[client]!(at)
  try {
    await runCase(it, opened.kit, 20_000)
    return 'passed'
  } catch (error) {
    return error instanceof Error ? `${error.name}: ${error.message}` : String(error)
  } finally {
    opened.close()
  }
}
