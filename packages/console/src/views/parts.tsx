/** Small pieces that several views are made of. */
import type { ComponentChildren } from 'preact'
import type { RunStatus, ScheduleView, StepStatus, ValuePreview } from 'dotdo/client'
import { counted, formatBytes, formatRelative } from 'dotdo/words'
import { dateTime } from '../format.ts'
import type { Link } from '../hooks.ts'

/** The mark of the project: three steps in time. */
export function Logo() {
  return (
    <svg class="logo" viewBox="0 0 32 32" width="20" height="20" aria-hidden="true">
      <rect width="32" height="32" rx="7" />
      <g>
        <rect x="6" y="8" width="12" height="4" rx="2" />
        <rect x="10" y="14" width="14" height="4" rx="2" />
        <rect x="18" y="20" width="8" height="4" rx="2" />
      </g>
    </svg>
  )
}

const icons: Record<RunStatus | StepStatus, string> = {
  // Each has a form of its own: colour is not the only sign.
  running: 'M8 2.5a5.5 5.5 0 1 1-5.5 5.5',
  waiting: 'M8 4.5V8l2.5 2M8 2.5a5.5 5.5 0 1 1 0 11 5.5 5.5 0 0 1 0-11',
  done: 'M3.5 8.5l3 3 6-7',
  failed: 'M4 4l8 8M12 4l-8 8',
  cancelled: 'M3 8h10',
  held: 'M6 4v8M10 4v8',
}

/** A status as sign and word. */
export function Status({ status, quiet }: { status: RunStatus | StepStatus; quiet?: boolean }) {
  return (
    <span class={`status ${status}`}>
      <svg viewBox="0 0 16 16" width="14" height="14" aria-hidden="true">
        <path d={icons[status]} />
      </svg>
      <span class={quiet ? 'hidden' : undefined}>{status}</span>
    </span>
  )
}

/** Whether what is shown is live. */
export function LinkState({ link }: { link: Link }) {
  const [word, title] =
    link.status === 'live'
      ? ['Live', 'Changes are shown as they happen']
      : link.status === 'connecting'
        ? ['Connecting', 'Waiting for the connection']
        : ['Reconnecting', `The connection was lost (${link.reason}). It is tried again by itself.`]
  return (
    <span class={`link ${link.status}`} role="status" title={title}>
      <span class="dot" aria-hidden="true" />
      {word}
    </span>
  )
}

/** An instant, near in words and exact on demand. */
export function Instant({ at, now }: { at: number; now: number }) {
  return (
    <time dateTime={new Date(at).toISOString()} title={dateTime(at)}>
      {formatRelative(at, now)}
    </time>
  )
}

/** Nothing is here, and why. */
export function Empty({ title, children }: { title: string; children?: ComponentChildren }) {
  return (
    <div class="empty">
      <h2>{title}</h2>
      <p>{children}</p>
    </div>
  )
}

/** An error as dotdo tells it: code, message with its picture, and the values it speaks of. */
export function ErrorBox({ title, error, onRetry }: { title?: string; error: unknown; onRetry?: () => void }) {
  const { code, name, message, data, retryable } = readError(error)
  const [sentence, ...picture] = message.split('\n')
  return (
    <section class="error" role="alert">
      {title && <h3>{title}</h3>}
      <p>
        <code class="code">{code ?? name}</code>
        {retryable === true && <span class="chip">may succeed when tried again</span>}
      </p>
      <p class="message">{sentence}</p>
      {picture.length > 0 && (
        <pre class="picture" tabIndex={0} aria-label="Where in the text">
          {picture.join('\n')}
        </pre>
      )}
      {data && Object.keys(data).length > 0 && (
        <details>
          <summary>Values</summary>
          <pre tabIndex={0}>{JSON.stringify(data, plain, 2)}</pre>
        </details>
      )}
      {onRetry && <button onClick={onRetry}>Try again</button>}
    </section>
  )
}

interface ReadError {
  name: string
  message: string
  code?: string
  data?: Record<string, unknown>
  retryable?: boolean
}

function readError(error: unknown): ReadError {
  if (typeof error !== 'object' || error === null || !('message' in error)) return { name: 'Error', message: String(error) }
  const { name, message, code, data, retryable } = error as Record<string, unknown>
  return {
    name: typeof name === 'string' ? name : 'Error',
    message: typeof message === 'string' ? message : JSON.stringify(message),
    ...(typeof code === 'string' && { code }),
    ...(typeof data === 'object' && data !== null && { data: data as Record<string, unknown> }),
    ...(typeof retryable === 'boolean' && { retryable }),
  }
}

/** What JSON has no form for is shown as text. */
const plain = (_key: string, value: unknown): unknown => (typeof value === 'bigint' ? String(value) : value)

/** A stored value, laid out where it is whole. */
export function Preview({ value, label }: { value: ValuePreview; label: string }) {
  const shown = pretty(value.text)
  return (
    <figure class="preview">
      <figcaption>
        <span>{label}</span>
        <span class="note">
          {[
            value.rows === undefined ? undefined : counted(value.rows, 'row'),
            formatBytes(value.sizeBytes),
            shown.whole ? undefined : 'beginning shown',
          ]
            .filter(Boolean)
            .join(' · ')}
        </span>
      </figcaption>
      <pre tabIndex={0} aria-label={label}>
        {shown.text}
      </pre>
    </figure>
  )
}

function pretty(text: string): { text: string; whole: boolean } {
  const whole = !text.endsWith('…')
  try {
    return { text: JSON.stringify(JSON.parse(text), undefined, 2), whole }
  } catch {
    // Cut, or a value that JSON has no form for: as it came. One element a line is easier to read in a cut list of objects.
    return { text: text.startsWith('[{') ? text.replaceAll('},{', '},\n {') : text, whole }
  }
}

/** That a deploy holds the run that a schedule waits for: leads there, where it is accepted or cancelled. */
export function HeldChip({ held, href }: { held: ScheduleView['held']; href: (runId: string) => string }) {
  if (!held) return null
  return (
    <a class="chip warn" href={href(held.runId)} title={`${held.runId} waits for an answer`}>
      held{held.skipped > 0 && `, ${held.skipped} skipped`}
    </a>
  )
}
