/** A chart of a query's rows, where they can be drawn. The table below it says the same in full. */
import { formatCount } from 'dotdo/words'
import { useState } from 'preact/hooks'
import { barChart, labelOf, lineChart, mostBars, mostPoints, suggestChart, type Column, type Row } from '../chart.ts'

import { useWidth } from '../hooks.ts'

/** Draws what `suggestChart` proposes, of the columns that the reader chose; nothing where a chart would say nothing. */
export function ChartView({ rows, columns }: { rows: Row[]; columns: Column[] }) {
  const suggested = suggestChart(columns)
  const [chosen, choose] = useState<{ x?: string; y?: string }>({})
  const [measure, width] = useWidth<HTMLDivElement>()
  if (!suggested || rows.length < 2) return null
  // A choice lasts as long as there is such a column.
  const numbers = columns.filter(({ kind }) => kind === 'number')
  const y = numbers.find(({ name }) => name === chosen.y)?.name ?? suggested.y
  const across = columns.filter(({ name }) => name !== y)
  const x = across.find(({ name }) => name === chosen.x)?.name ?? suggested.x
  const isLine = columns.find(({ name }) => name === x)?.kind === 'time'
  return (
    <figure class="chart">
      <figcaption class="inline">
        <Choice label={isLine ? 'Line of' : 'Bars of'} columns={numbers} value={y} onChange={(y) => choose({ ...chosen, y })} />
        <Choice label="by" columns={across} value={x} onChange={(x) => choose({ ...chosen, x })} />
      </figcaption>
      <div ref={measure} class="canvas">
        {width > 0 && (isLine ? <Line rows={rows} x={x} y={y} width={width} /> : <Bars rows={rows} x={x} y={y} width={width} />)}
      </div>
    </figure>
  )
}

function Choice({
  label,
  columns,
  value,
  onChange,
}: {
  label: string
  columns: Column[]
  value: string
  onChange: (name: string) => void
}) {
  return (
    <label>
      {label}{' '}
      <select value={value} onChange={(event) => onChange(event.currentTarget.value)}>
        {columns.map(({ name }) => (
          <option key={name} value={name}>
            {name}
          </option>
        ))}
      </select>
    </label>
  )
}

interface DrawingProps {
  rows: Row[]
  x: string
  y: string
  width: number
}

const compact = new Intl.NumberFormat('en-US', { notation: 'compact', maximumFractionDigits: 2 })
const rowHeight = 24

function Bars({ rows, x, y, width }: DrawingProps) {
  const longest = Math.max(...rows.slice(0, mostBars).map((row) => labelOf(row[x]).length))
  const labelWidth = Math.min(longest * 7.5 + 12, width * 0.35)
  const valueWidth = 64
  const plot = { width: Math.max(60, width - labelWidth - valueWidth), rowHeight }
  const { bars, zero, ticks } = barChart(rows, x, y, plot)
  const height = bars.length * rowHeight + 22
  const letters = Math.floor((labelWidth - 12) / 7)
  return (
    <>
      <svg width={width} height={height} role="img" aria-label={`Bars of ${y} by ${x}. The table below has the same values.`}>
        <g transform={`translate(${labelWidth} 0)`}>
          {ticks.map(({ value, at }) => (
            <g key={value} transform={`translate(${at} 0)`}>
              <line class="gridline" y2={height - 20} />
              <text class="tick" y={height - 5} text-anchor="middle">
                {compact.format(value)}
              </text>
            </g>
          ))}
          {bars.map((bar, index) => (
            <g key={index}>
              <title>{`${bar.label}: ${formatCount(bar.value)}`}</title>
              <text class="label" x={-8} y={bar.y + bar.height / 2} text-anchor="end" dominant-baseline="central">
                {bar.label.length > letters ? `${bar.label.slice(0, Math.max(1, letters - 1))}…` : bar.label}
              </text>
              <rect class="mark" x={bar.x} y={bar.y} width={Math.max(bar.width, bar.value === 0 ? 0 : 1)} height={bar.height} rx="2" />
              <text class="value" x={Math.max(bar.x + bar.width, zero) + 6} y={bar.y + bar.height / 2} dominant-baseline="central">
                {compact.format(bar.value)}
              </text>
            </g>
          ))}
          <line class="zero" x1={zero} x2={zero} y2={height - 20} />
        </g>
      </svg>
      {rows.length > mostBars && (
        <p class="note">
          The first {mostBars} of {formatCount(rows.length)} rows are drawn.
        </p>
      )}
    </>
  )
}

const tickHeight = 16

function Line({ rows, x, y, width }: DrawingProps) {
  const left = 52
  const top = 10
  const plot = { width: Math.max(60, width - left - 12), height: 200 }
  const { points, yTicks, xTicks } = lineChart(rows, x, y, plot)
  const path = points.map((point, index) => `${index === 0 ? 'M' : 'L'}${point.x.toFixed(1)} ${point.y.toFixed(1)}`).join('')
  return (
    <>
      <svg
        width={width}
        height={plot.height + top + 26 + Math.max(...xTicks.map(({ row }) => row)) * tickHeight}
        role="img"
        aria-label={`Line of ${y} over ${x}. The table below has the same values.`}
      >
        <g transform={`translate(${left} ${top})`}>
          {yTicks.map(({ value, at }) => (
            <g key={value} transform={`translate(0 ${at})`}>
              <line class={value === 0 ? 'zero' : 'gridline'} x2={plot.width} />
              <text class="tick" x={-8} text-anchor="end" dominant-baseline="central">
                {compact.format(value)}
              </text>
            </g>
          ))}
          {xTicks.map(({ label, at, anchor, row }) => (
            <text key={at} class="tick" x={at} y={plot.height + 18 + row * tickHeight} text-anchor={anchor}>
              {label}
            </text>
          ))}
          <path class="stroke" d={path} />
          {points.length <= 200 &&
            points.map((point, index) => (
              <circle key={index} class="mark" cx={point.x} cy={point.y} r="3">
                <title>{`${point.label}: ${formatCount(point.value)}`}</title>
              </circle>
            ))}
        </g>
      </svg>
      {rows.length > mostPoints && (
        <p class="note">
          {mostPoints} of {formatCount(rows.length)} rows are drawn.
        </p>
      )}
    </>
  )
}
