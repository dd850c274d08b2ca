import { expect, test } from 'vitest'
import { nextTicks } from '../../src/cli/crons.ts'

const never = (cron: string): never => {
  throw new Error(`${cron} was refused`)
}
// A Monday.
const monday = Date.UTC(2026, 10, 23, 12, 0, 30)

test('the next instant of all patterns comes first, with each pattern that has it', () => {
  expect(nextTicks(['*/15 * * * *', '0 13 * * *', '15 12 * * *'], monday, never)).toEqual([
    { cron: '*/15 * * * *', at: Date.UTC(2026, 10, 23, 12, 15) },
    { cron: '15 12 * * *', at: Date.UTC(2026, 10, 23, 12, 15) },
  ])
})

test('what is due at this very instant was due before it', () => {
  const at = Date.UTC(2026, 10, 23, 12, 15)
  expect(nextTicks(['*/15 * * * *'], at, never)[0]?.at).toBe(Date.UTC(2026, 10, 23, 12, 30))
})

test('days of the week are those of Cloudflare, where Sunday is 1', () => {
  expect(new Date(nextTicks(['0 0 * * 1'], monday, never)[0]!.at).getUTCDay()).toBe(0)
  expect(new Date(nextTicks(['0 0 * * 2'], monday, never)[0]!.at).getUTCDay()).toBe(1)
  expect(new Date(nextTicks(['0 0 * * FRI'], monday, never)[0]!.at).getUTCDay()).toBe(5)
})

test('a pattern that never comes, or cannot be read, keeps no other from firing', () => {
  const refused: string[] = []
  const ticks = nextTicks(['0 0 31 2 *', 'nonsense', '0 13 * * *', '* * * * * *'], monday, (cron) => refused.push(cron))
  expect(ticks.map(({ cron }) => cron)).toEqual(['0 13 * * *'])
  expect(refused).toEqual(['nonsense', '* * * * * *'])
  expect(nextTicks([], monday, never)).toEqual([])
})
