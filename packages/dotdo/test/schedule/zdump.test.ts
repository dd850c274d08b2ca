/**
 * Changes of clocks against `zdump -v`, which reads the compiled time zone database itself. A seeded part of the zones runs always, and all of
 * them with `DIFFERENTIAL=all`. Skipped where there is no zdump, as outside of Unix.
 */
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { Zone } from '../../src/schedule/zone.ts'
import { SeededRandom } from '../support/fakes.ts'

const folder = '/usr/share/zoneinfo'
const first = 1973
const last = 2037

function zdump(zone: string): string | undefined {
  try {
    return execFileSync('zdump', ['-v', '-c', `${first},${last}`, zone], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })
  } catch {
    return undefined
  }
}

const isThere = zdump('UTC') !== undefined && existsSync(`${folder}/America/New_York`)

/** The release of the tables, such as `2026a`: of the machine, and of this runtime. */
const machine = existsSync(`${folder}/tzdata.zi`) ? /^# version (\S+)/.exec(readFileSync(`${folder}/tzdata.zi`, 'utf8'))?.[1] : undefined
const runtime = process.versions['tz']

/** What zdump says of a zone: the last second before each change and the first one after it, with their offsets. */
function changesOf(zone: string): { at: number; offset: number }[] {
  const line = /= *\S+ +(\S+) +(\d+) ([\d:]+) (\d+) \S+ isdst=\d gmtoff=(-?\d+)$/
  return (zdump(zone) ?? '').split('\n').flatMap((text) => {
    const ut = /^\S+ +\S+ (\S+) +(\d+) ([\d:]+) (\d+) UT /.exec(text)
    const local = line.exec(text)
    return ut && local ? [{ at: Date.parse(`${ut[1]} ${ut[2]} ${ut[4]} ${ut[3]} UTC`), offset: Number(local[5]) * 1000 }] : []
  })
}

/** Whether this zone shows at each of its changes, and between them, what zdump says; else the first place where it does not. */
function disagreement(name: string): string | undefined {
  const zone = new Zone(name)
  const changes = changesOf(name)
  for (const [index, { at, offset }] of changes.entries()) {
    if (zone.offsetAt(at) !== offset) return `${name} at ${new Date(at).toISOString()}: ${zone.offsetAt(at)} and not ${offset}`
    // Each change is two lines, a second apart: between one change and the next nothing changes.
    const next = changes[index + 1]
    if (index % 2 === 0 || !next) continue
    for (let share = 1; share < 8; share++) {
      const between = at + Math.floor(((next.at - at) * share) / 8)
      if (zone.offsetAt(between) !== offset) return `${name} at ${new Date(between).toISOString()}: a change that zdump does not have`
    }
  }
  return undefined
}

const always = [
  'America/New_York',
  'Australia/Lord_Howe',
  'America/Sao_Paulo',
  'Pacific/Apia',
  'Europe/Berlin',
  'Africa/Casablanca',
  'Antarctica/Troll',
]

describe.skipIf(!isThere)('zones against zdump, where this machine has it with the time zone database', () => {
  it('reads what zdump prints', () => {
    expect(changesOf('America/Sao_Paulo').filter(({ at }) => at >= Date.UTC(2018, 10) && at < Date.UTC(2018, 11))).toEqual([
      { at: Date.parse('2018-11-04T02:59:59Z'), offset: -3 * 3_600_000 },
      { at: Date.parse('2018-11-04T03:00:00Z'), offset: -2 * 3_600_000 },
    ])
    expect(changesOf('UTC')).toEqual([])
  })

  it('change at the second at which it says', () => {
    const random = new SeededRandom(3)
    const all = Intl.supportedValuesOf('timeZone').filter((name) => existsSync(`${folder}/${name}`))
    const zones =
      process.env['DIFFERENTIAL'] === 'all' ? all : [...always, ...Array.from({ length: 40 }, () => all[random.below(all.length)]!)]
    const found = zones.flatMap((name) => disagreement(name) ?? [])
    console.info(`${zones.length} zones of release ${machine} beside this runtime's ${runtime}: ${found.length} disagree`)
    for (const it of found) console.info(`  ${it}`)
    // Tables of one release say the same. Those of two may differ in zones whose governments have changed their mind in between.
    expect(found.length).toBeLessThanOrEqual(machine === runtime ? 0 : 12)
    expect(found.filter((it) => always.slice(0, 5).some((name) => it.startsWith(`${name} `)))).toEqual([])
    expect(all.length).toBeGreaterThan(300)
  }, 240_000)
})
