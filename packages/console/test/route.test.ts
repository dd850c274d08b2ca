import fc from 'fast-check'
import { expect, test } from 'vitest'
import { hrefOf, parseRoute, type Route } from '../src/route.ts'

test.each<[string, Route]>([
  ['', { tab: 'home' }],
  ['#/', { tab: 'home' }],
  ['#/tables', { tab: 'tables' }],
  ['#/fleet', { tab: 'fleet', list: 'runs' }],
  ['#/fleet/alerts', { tab: 'fleet', list: 'alerts' }],
  ['#/fleet/nonsense', { tab: 'home' }],
  ['#/fleet/runs?state=failed&since=1d', { tab: 'fleet', list: 'runs', filter: { state: 'failed', since: '1d' } }],
  ['#/fleet/runs?', { tab: 'fleet', list: 'runs' }],
  ['#/fleet/runs?since=yesterday', { tab: 'home' }],
  ['#/fleet/runs?colour=red', { tab: 'home' }],
  ['#/fleet/schedules?since=1d', { tab: 'home' }],
  ['#/fleet/runs?state=failed&state=held', { tab: 'home' }],
  ['#/Pipeline/main', { tab: 'runs', noun: 'Pipeline', name: 'main' }],
  ['#/Pipeline/main/runs', { tab: 'runs', noun: 'Pipeline', name: 'main' }],
  ['#/Pipeline/main/runs/', { tab: 'runs', noun: 'Pipeline', name: 'main' }],
  ['#/Pipeline/main/runs/daily%402026-11-22T23%3A40', { tab: 'runs', noun: 'Pipeline', name: 'main', runId: 'daily@2026-11-22T23:40' }],
  ['#/Pipeline/main/schedules', { tab: 'schedules', noun: 'Pipeline', name: 'main' }],
  ['#/Pipeline/main/query', { tab: 'query', noun: 'Pipeline', name: 'main' }],
  ['#/Pipeline/50%/query', { tab: 'query', noun: 'Pipeline', name: '50%' }],
  ['#/Pipeline/main/schedules/x', { tab: 'home' }],
  ['#/Pipeline/main/nonsense', { tab: 'home' }],
  ['#/Pipeline/main/runs/a/b', { tab: 'home' }],
  ['#/Pipeline/main/runs/a/fork', { tab: 'runs', noun: 'Pipeline', name: 'main', runId: 'a', side: 'fork' }],
  ['#/Pipeline/main/runs/a/lineage/b', { tab: 'home' }],
  ['#/Pipeline/main/runs//lineage', { tab: 'home' }],
  ['#/eu:Pipeline/main/runs/a', { tab: 'runs', noun: 'eu:Pipeline', name: 'main', runId: 'a' }],
  ['#/tables/analytics.events', { tab: 'tables', of: { table: 'analytics.events' } }],
  ['#/tables/analytics.events/7', { tab: 'tables', of: { table: 'analytics.events', snapshotId: 7 } }],
  ['#/tables/analytics.events/current/LAKE', { tab: 'tables', of: { table: 'analytics.events', warehouse: 'LAKE' } }],
  ['#/tables/analytics.events/nonsense', { tab: 'home' }],
  ['#/tables/', { tab: 'home' }],
  ['#/pipeline/main', { tab: 'home' }],
  ['#/Pipeline', { tab: 'home' }],
  ['#token=abc', { tab: 'home' }],
])('%j is %j', (hash, route) => expect(parseRoute(hash)).toEqual(route))

test('every place is found again by its address, whatever names it holds', () => {
  const name = fc.string({ minLength: 1, unit: 'grapheme' })
  const noun = fc.tuple(fc.constantFrom('', 'eu:'), fc.string({ unit: 'grapheme-ascii' })).map(([place, rest]) => `${place}N${rest}`)
  const route: fc.Arbitrary<Route> = fc.oneof(
    fc.record({ tab: fc.constant('runs' as const), noun, name, runId: name }),
    fc.record({ tab: fc.constant('runs' as const), noun, name, runId: name, side: fc.constantFrom('lineage' as const, 'fork' as const) }),
    fc.record({
      tab: fc.constant('tables' as const),
      of: fc.record({ table: name, snapshotId: fc.maxSafeNat(), warehouse: name }, { requiredKeys: ['table'] }),
    }),
    fc.record({ tab: fc.constantFrom('schedules' as const, 'query' as const), noun, name }),
    fc.record({ tab: fc.constant('runs' as const), noun, name }),
    fc.constant<Route>({ tab: 'tables' }),
    fc.record({
      tab: fc.constant('fleet' as const),
      list: fc.constantFrom('runs' as const, 'schedules' as const, 'alerts' as const, 'letters' as const),
    }),
    fc.record({
      tab: fc.constant('fleet' as const),
      list: fc.constant('runs' as const),
      filter: fc.oneof(
        fc.record({ noun: name, tag: name, state: fc.constant('held') }, { requiredKeys: ['tag'] }),
        fc.record({ since: fc.constantFrom('90m', '2026-11-23T02:00Z') }),
      ),
    }),
  )
  fc.assert(
    fc.property(route, (place) => {
      expect(parseRoute(hrefOf(place))).toEqual(place)
    }),
  )
})
