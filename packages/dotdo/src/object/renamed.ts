/**
 * Nouns that had other names before: `serve({ renamed: { Order: 'Parcel' } })`.
 *
 * An object of such a noun goes by two names. By the noun of today its class is exported, and people read it. By its first noun other objects know it: that
 * stands in what they store of it and in what objects send each other (who calls, whose events, whose token), of which a rename therefore changes nothing. So no rows are
 * rewritten when a noun is renamed, an object that sleeps through it needs nothing, Workers of the release before and after understand each other
 * while a deploy goes on, and taking the rename back leaves everything as it was.
 */
import { DotdoError } from '../base/errors.ts'
import { placedNoun, readPlacedNoun } from '../rpc/origin.ts'

const nounForm = /^(?!Dotdo[A-Z])[A-Z]\w{0,255}$/

/** What `serve({ renamed })` says, taken apart. Immutable but for {@link Renames.isSound}. */
export class Renames {
  /** The noun of today, by each earlier one. */
  readonly later: ReadonlyMap<string, string>
  /** The first noun, by each later one. */
  readonly #first: ReadonlyMap<string, string>
  /** Whether the nouns of today were looked at, once, and none is in the way of an earlier one, nor any that the app speaks of missing: see `nouns.ts`. */
  isSound = false

  /** @throws `RENAMED_INVALID` for what is no noun, for a circle, and for two nouns that would be one */
  constructor(given: unknown = {}) {
    const [steps, before] = readSteps(given)
    this.later = new Map([...steps.keys()].map((noun) => [noun, endOf(noun, steps)]))
    this.#first = new Map([...before.keys()].map((noun) => [noun, endOf(noun, before)]))
  }

  /** The noun that a class is exported as today, of one that it was ever exported as. Any other noun is itself, as in all that follows. */
  nounNow(noun: string): string {
    return this.later.get(noun) ?? noun
  }

  /** The noun by which objects of a noun are known to others: its first one. `eu:Parcel` is `eu:Order`. */
  firstNoun(placed: string): string {
    return this.#replaced(placed, (noun) => this.#first.get(this.nounNow(noun)) ?? noun)
  }

  /** An object's name for people, `Parcel/1001`, of that by which others know it, `Order/1001`. */
  labelNow(label: string): string {
    return this.#inLabel(label, (placed) => this.#replaced(placed, (noun) => this.nounNow(noun)))
  }

  /** An object's name by which others know it, of any that it has. */
  firstLabel(label: string): string {
    return this.#inLabel(label, (placed) => this.firstNoun(placed))
  }

  #inLabel(label: string, change: (placed: string) => string): string {
    const slash = this.later.size === 0 ? -1 : label.indexOf('/')
    return slash < 0 ? label : change(label.slice(0, slash)) + label.slice(slash)
  }

  #replaced(placed: string, change: (noun: string) => string): string {
    // Most apps have never renamed anything, and each call asks.
    if (this.later.size === 0) return placed
    const { noun, jurisdiction } = readPlacedNoun(placed)
    return placedNoun({ noun: change(noun), ...(jurisdiction !== undefined && { jurisdiction }) })
  }
}

/** Each noun by the one before it, and the other way round. */
function readSteps(given: unknown): [steps: Map<string, string>, before: Map<string, string>] {
  if (typeof given !== 'object' || given === null || Array.isArray(given))
    throw renamedInvalid(`it takes nouns by their earlier names, such as { Order: 'Parcel' }, not ${JSON.stringify(given)}`)
  const [steps, before] = [new Map<string, string>(), new Map<string, string>()]
  for (const [from, to] of Object.entries(given as Record<string, unknown>)) {
    for (const noun of [from, to])
      if (typeof noun !== 'string' || !nounForm.test(noun)) throw renamedInvalid(`${JSON.stringify(noun)} is no noun of an app`, from)
    const other = before.get(to as string)
    if (other !== undefined) {
      throw renamedInvalid(
        `${other} and ${from} both are ${to as string} now, and the objects of two nouns cannot be one. Where the one was called the other in between, say it as it went: { ${other}: '${from}', ${from}: '${to as string}' }`,
        from,
      )
    }
    steps.set(from, to as string)
    before.set(to as string, from)
  }
  return [steps, before]
}

/** Where a noun leads to, step by step. @throws `RENAMED_INVALID` */
function endOf(noun: string, steps: ReadonlyMap<string, string>): string {
  let at = noun
  for (let next = steps.get(at); next !== undefined; next = steps.get(at)) {
    if (next === noun) throw renamedInvalid(`${noun} leads back to itself. Take the line away that is not true any more`, noun)
    at = next
  }
  return at
}

/** `RENAMED_INVALID` */
export function renamedInvalid(reason: string, noun?: string): DotdoError {
  return new DotdoError('RENAMED_INVALID', `serve({ renamed }) cannot be used: ${reason}.`, {
    data: { reason, ...(noun !== undefined && { noun }) },
  })
}
