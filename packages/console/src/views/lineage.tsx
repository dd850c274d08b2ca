/** Where something comes from: a drawing, a list that says all of it in words, and the same to take away. */
import type { ComponentChildren } from 'preact'
import { useEffect, useMemo, useState } from 'preact/hooks'
import type { Lineage, LineageEdge, RunLineage } from 'dotdo/client'
import { counted, edgeInWords, targetInWords } from 'dotdo/words'
import { took } from '../format.ts'
import { drawLineage, placeOfTable } from '../lineage-drawing.ts'
import { hrefOf, objectOf } from '../route.ts'
import { Empty, ErrorBox, Status } from './parts.tsx'

/** Reads a lineage once and again on demand: what is written down of a run changes no more when it has ended. */
export function useLineage(read: () => Promise<Lineage>, key: string): { lineage: Lineage | undefined; error: unknown; again: () => void } {
  const [lineage, setLineage] = useState<Lineage>()
  const [error, setError] = useState<unknown>()
  const [wish, setWish] = useState(0)
  useEffect(() => {
    let gone = false
    setError(undefined)
    void read().then(
      (found) => !gone && setLineage(found),
      (failure: unknown) => !gone && setError(failure),
    )
    return () => void (gone = true)
  }, [key, wish])
  return { lineage, error, again: () => setWish((before) => before + 1) }
}

/** A lineage as a drawing, a list, and files. `name` begins the names of the files. */
export function LineageDetails({ lineage, name }: { lineage: Lineage; name: string }) {
  const { runs, missing, openLineage, drawing, snapshot } = lineage
  const isEmpty = runs.every(({ steps }) => steps.length === 0) && !snapshot
  return (
    <>
      {missing.length > 0 && (
        <ul class="warnings" aria-label="What is missing">
          {missing.map((text) => (
            <li key={text}>{text}</li>
          ))}
        </ul>
      )}
      {isEmpty ? (
        <Empty title="Nothing is noted of it">
          What its steps call, read and write is noted when they end: calls of other objects, tables, sources, events and requests.
        </Empty>
      ) : (
        <Drawing lineage={lineage} />
      )}
      <div class="inline files">
        <File name={`${name}.openlineage.ndjson`} text={openLineage.map((event) => `${JSON.stringify(event)}\n`).join('')}>
          OpenLineage <span class="note">{counted(openLineage.length, 'event')}</span>
        </File>
        <File name={`${name}.mmd`} text={drawing}>
          Mermaid
        </File>
      </div>
      {runs.map((run) => (
        <RunDid key={`${run.object} ${run.runId}`} run={run} />
      ))}
    </>
  )
}

/** A drawing that is wider than the page is drawn smaller, down to this; then it is moved in its frame. */
const leastScale = 0.72

function Drawing({ lineage }: { lineage: Lineage }) {
  const { nodes, arrows, words, width, height, left } = useMemo(() => drawLineage(lineage), [lineage])
  const drawn = { width: width + 24, height: height + 24 }
  return (
    <figure class="lineage">
      <div class="canvas" tabIndex={0} role="group" aria-label="What leads to what, from left to right. The list below says the same.">
        <svg
          viewBox={`-12 -12 ${drawn.width} ${drawn.height}`}
          style={{ maxWidth: `${drawn.width}px`, minWidth: `${drawn.width * leastScale}px` }}
        >
          <defs>
            <marker
              id="arrow"
              viewBox="0 0 8 8"
              refX="7"
              refY="4"
              markerUnits="userSpaceOnUse"
              markerWidth="10"
              markerHeight="10"
              orient="auto-start-reverse"
            >
              <path d="M0 0.5L7.5 4L0 7.5z" />
            </marker>
          </defs>
          {arrows.map(({ key, path, heavy }) => (
            <path key={key} class={heavy ? 'arrow heavy' : 'arrow'} d={path} marker-end="url(#arrow)" />
          ))}
          {words.map(({ key, x, y, text }) => (
            <text key={key} class="words" x={x} y={y} text-anchor="end">
              {text}
            </text>
          ))}
          {nodes.map(({ id, kind, x, y, width, height, caption, text, title, href }) => {
            const thing = (
              <g class={`node ${kind}`} transform={`translate(${x} ${y})`}>
                <title>{title}</title>
                <rect width={width} height={height} rx={kind === 'run' || kind === 'event' ? height / 2 : 6} />
                <text class="caption" x={width / 2} y={16} text-anchor="middle">
                  {caption}
                </text>
                <text x={width / 2} y={32} text-anchor="middle">
                  {text}
                </text>
              </g>
            )
            return href === undefined ? (
              <g key={id}>{thing}</g>
            ) : (
              <a key={id} href={href} aria-label={title}>
                {thing}
              </a>
            )
          })}
        </svg>
      </div>
      {left > 0 && <figcaption class="note">{counted(left, 'more thing')} in the list below.</figcaption>}
    </figure>
  )
}

/** One run: what led to it, and what its steps did. */
function RunDid({ run }: { run: RunLineage }) {
  const { object, runId, target, status, startedAt, endedAt, steps, calledBy, parent, forkedFrom } = run
  const place = objectOf(object)
  return (
    <section class="did" aria-label={`${targetInWords(target)} of ${object}`}>
      <h2>
        <a href={hrefOf({ tab: 'runs', ...place, runId })}>{targetInWords(target)}</a> <Status status={status} />{' '}
        <span class="note">
          {object}
          {endedAt !== undefined && ` · ${took(startedAt, endedAt)}`}
          {calledBy && (
            <>
              {' · called by '}
              <a href={hrefOf({ tab: 'runs', ...objectOf(calledBy.object), runId: calledBy.runId })}>
                {calledBy.stepId} of {calledBy.object}
              </a>
            </>
          )}
          {parent && (
            <>
              {' · for '}
              <a href={hrefOf({ tab: 'runs', ...place, runId: parent.runId })}>{parent.stepId}</a>
            </>
          )}
          {forkedFrom && (
            <>
              {' · forked from '}
              <a href={hrefOf({ tab: 'runs', ...place, runId: forkedFrom.runId })}>{forkedFrom.runId}</a>
            </>
          )}
        </span>
      </h2>
      {steps.length === 0 ? (
        <p class="note">It has called, read and written nothing.</p>
      ) : (
        <dl class="rows">
          {steps.map(({ stepId, edges }) => (
            <div key={stepId ?? ''}>
              <dt>{stepId ?? 'between steps'}</dt>
              <dd>
                {edges.map((edge) => (
                  <p key={`${edge.kind} ${edge.target} ${edge.what}`}>
                    <EdgeWords edge={edge} />
                  </p>
                ))}
              </dd>
            </div>
          ))}
        </dl>
      )}
    </section>
  )
}

/** One thing that a step did: in words, with what went in; a snapshot leads to where it comes from. */
export function EdgeWords({ edge }: { edge: LineageEdge }) {
  const { kind, target, what, input } = edge
  const words = edgeInWords(edge)
  const of = kind === 'write' && /^\d+$/.test(what) ? { ...placeOfTable(target), snapshotId: Number(what) } : undefined
  return (
    <>
      {of && Number.isSafeInteger(of.snapshotId) ? <a href={hrefOf({ tab: 'tables', of })}>{words}</a> : words}
      {input !== undefined && kind !== 'write' && kind !== 'read' && <code class="input">{input}</code>}
    </>
  )
}

/** A button that lays a text into a file. */
function File({ name, text, children }: { name: string; text: string; children: ComponentChildren }) {
  const save = () => {
    const url = URL.createObjectURL(new Blob([text], { type: 'text/plain' }))
    const link = document.createElement('a')
    link.href = url
    // What a name of a run holds and a file system refuses.
    link.download = name.replace(/[^\w.@-]+/g, '-')
    link.click()
    // The browser has taken it when the press is over.
    setTimeout(() => URL.revokeObjectURL(url), 10_000)
  }
  return (
    <button disabled={text === ''} onClick={save}>
      ↓ {children}
    </button>
  )
}

/** What a read of a lineage shows before it is there. */
export function LineageState({ error, again, what }: { error: unknown; again: () => void; what: string }) {
  if (error !== undefined) return <ErrorBox title={`The lineage of ${what} could not be read`} error={error} onRetry={again} />
  return <p class="note">Reading where {what} comes from…</p>
}
