/** The pure part of the pipeline: plain functions over plain rows, tested in plain Node. */

/** A flight as it lies in the data lake. */
export interface Flight {
  date: string
  delay: number
  distance: number
  origin: string
  destination: string
}

/** An airport as it lies in the data lake. */
export interface Airport {
  iata: string
  name: string
  city: string
  state: string
}

/** A flight that knows the states it went from and to; `null` for an airport that nobody knows. */
export interface EnrichedFlight extends Flight {
  originState: string | null
  destinationState: string | null
}

/** Joins flights with their airports. */
export function enrich(flights: Flight[], airports: Airport[]): EnrichedFlight[] {
  const states = new Map(airports.map((airport) => [airport.iata, airport.state]))
  return flights.map((flight) => ({
    ...flight,
    originState: states.get(flight.origin) ?? null,
    destinationState: states.get(flight.destination) ?? null,
  }))
}

/** The flights of each day, in order. */
export function byDay(flights: EnrichedFlight[]): Map<string, EnrichedFlight[]> {
  return Map.groupBy(flights, (flight) => flight.date.slice(0, 10))
}
