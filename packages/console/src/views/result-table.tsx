/** The rows of a query. */
import { counted, formatCount } from 'dotdo/words'
import { labelOf, type Column, type Row } from '../chart.ts'

/** Rows that are put on the page: more would make it slow, and nobody reads them. */
export const mostRows = 1000

/** The rows as a table that scrolls by itself, and how many there are. `time` is how long the answer took, in words. */
export function ResultTable({ rows, columns, time }: { rows: Row[]; columns: Column[]; time: string }) {
  const caption =
    rows.length > mostRows ? `The first ${formatCount(mostRows)} of ${counted(rows.length, 'row')}` : counted(rows.length, 'row')
  return (
    <section aria-label="Result">
      <p class="note" role="status">
        {caption} in {time}
      </p>
      <div class="scroll" role="region" aria-label="Rows" tabIndex={0}>
        <table>
          <thead>
            <tr>
              {columns.map(({ name, kind }) => (
                <th key={name} scope="col" class={kind}>
                  {name}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {rows.slice(0, mostRows).map((row, index) => (
              <tr key={index}>
                {columns.map(({ name, kind }) => (
                  <td key={name} class={kind}>
                    <Cell value={row[name]} />
                  </td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </section>
  )
}

function Cell({ value }: { value: unknown }) {
  if (value === null || value === undefined) return <span class="none">null</span>
  // Not grouped by commas: an identifier is a number too, and what is copied should be what was answered.
  return <>{typeof value === 'number' ? shortNumber(value) : labelOf(value)}</>
}

/** All digits of integers, and of fractions those that mean something. */
function shortNumber(value: number): string {
  return Number.isInteger(value) ? String(value) : String(Number(value.toPrecision(10)))
}
