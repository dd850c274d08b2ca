/** What narrows a list of the fleet: state, noun, tag and time. It stands in the address, so it can be sent to somebody. */
import { changed, fieldOf, filterWords, minuteOf, periods, timeOf, timeOfField, type FleetFilter, type FleetList } from '../fleet-filter.ts'
import { hrefOf } from '../route.ts'

interface Filtering {
  list: FleetList
  filter: FleetFilter
  states: readonly string[]
  nouns: readonly string[]
}

const dayMs = 86_400_000

/** The fields of one list. A change takes the place of the address before it: Back leaves the list, and does not go through all that was tried. */
export function Filters({ list, filter, states, nouns }: Filtering) {
  const has = (word: keyof FleetFilter) => filterWords[list].includes(word)
  const set = (words: Parameters<typeof changed>[1]) => location.replace(hrefOf({ tab: 'fleet', list, filter: changed(filter, words) }))
  const known = filter.noun === undefined || nouns.includes(filter.noun) ? nouns : [filter.noun, ...nouns]
  return (
    <div class="inline filters">
      {states.length > 0 && (
        <select aria-label="State" value={filter.state ?? ''} onChange={(event) => set({ state: event.currentTarget.value })}>
          <option value="">any state</option>
          {states.map((word) => (
            <option key={word}>{word}</option>
          ))}
        </select>
      )}
      {(nouns.length > 1 || filter.noun !== undefined) && (
        <select aria-label="Noun" value={filter.noun ?? ''} onChange={(event) => set({ noun: event.currentTarget.value })}>
          <option value="">any noun</option>
          {known.map((word) => (
            <option key={word}>{word}</option>
          ))}
        </select>
      )}
      {has('tag') && (
        <input
          type="search"
          aria-label="Tag"
          placeholder="any tag"
          size={12}
          value={filter.tag ?? ''}
          onChange={(event) => set({ tag: event.currentTarget.value.trim() })}
        />
      )}
      {has('since') && <TimeFields filter={filter} set={set} />}
      {Object.keys(filter).length > 0 && (
        <a class="all" href={hrefOf({ tab: 'fleet', list })}>
          Show all
        </a>
      )}
    </div>
  )
}

/** A length of time that ends now, or two instants, in the reader's zone. */
function TimeFields({ filter, set }: { filter: FleetFilter; set: (words: Parameters<typeof changed>[1]) => void }) {
  const { since, until } = filter
  const period = until === undefined ? periods.find(([length]) => length === since) : undefined
  const isBetween = !period && (since !== undefined || until !== undefined)
  const now = Date.now()
  const choose = (value: string) => {
    if (value !== between) return set({ since: value, until: undefined })
    const from = (since !== undefined && timeOf(since, now)) || now - dayMs
    set({ since: minuteOf(from) })
  }
  const field = (word: 'since' | 'until', label: string) => (
    <label>
      {label}{' '}
      <input
        type="datetime-local"
        value={fieldOf(filter[word], now)}
        onChange={(event) => set({ [word]: timeOfField(event.currentTarget.value) })}
      />
    </label>
  )
  return (
    <>
      <select aria-label="Time" value={isBetween ? between : (period?.[0] ?? '')} onChange={(event) => choose(event.currentTarget.value)}>
        <option value="">any time</option>
        {periods.map(([length, words]) => (
          <option key={length} value={length}>
            {words}
          </option>
        ))}
        <option value={between}>between…</option>
      </select>
      {isBetween && field('since', 'from')}
      {isBetween && field('until', 'until')}
    </>
  )
}

const between = 'between'
