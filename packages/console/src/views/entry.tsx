/** What stands here without a session: why, and what to do next. */
import { useState } from 'preact/hooks'
import { tokenIn, type NoSession } from '../session.ts'
import { Logo } from './parts.tsx'

const words: Record<NoSession, { title: string; text: string }> = {
  absent: { title: 'This page opens with a link', text: 'What an app does is shown to those who hold a link to it.' },
  used: {
    title: 'This link has been used',
    text: 'A link opens the page once, in one browser tab. Where that tab is still open, go on there; otherwise take a new link.',
  },
  expired: { title: 'This link has expired', text: 'A link is good for a limited time after it was made. Take a new one.' },
  invalid: {
    title: 'This link is not valid',
    text: 'It was cut short or changed on its way, or made for another app. Copy the whole link, or take a new one.',
  },
  ended: {
    title: 'The session has ended',
    text: 'Sessions last for some hours, and end when the secret of the app changes. A new link begins another one.',
  },
  unreachable: { title: 'The app did not answer', text: 'The link is not used up. See that the app is running, then try again.' },
}

/** The page of somebody without a session. `onRetry` tries the same link again, where it is still good. */
export function Entry({ reason, onRetry }: { reason: NoSession; onRetry: () => void }) {
  const { title, text } = words[reason]
  const [pasted, setPasted] = useState('')
  const [wrong, setWrong] = useState(false)
  const open = (event: Event) => {
    event.preventDefault()
    const token = tokenIn(pasted)
    setWrong(token === undefined)
    if (token !== undefined) location.hash = `#token=${encodeURIComponent(token)}`
  }
  return (
    <main class="entry">
      <div class="card">
        <p class="brand">
          <Logo /> dotdo
        </p>
        <h1>{title}</h1>
        <p role={reason === 'absent' ? undefined : 'alert'}>{text}</p>
        {reason === 'unreachable' ? (
          <p>
            <button class="primary" onClick={onRetry}>
              Try again
            </button>
          </p>
        ) : (
          <>
            <p>
              On your own machine <code>npm start</code> and <code>npx dotdo dev</code> print one, after <b>Page</b>. For a deployed app,
              ask whoever runs it.
            </p>
            <form onSubmit={open}>
              <label for="link">Or paste the link here</label>
              <div class="inline">
                <input
                  id="link"
                  type="text"
                  autocomplete="off"
                  spellcheck={false}
                  placeholder={`${location.origin}/#token=…`}
                  value={pasted}
                  aria-invalid={wrong}
                  aria-describedby="link-note"
                  onInput={(event) => setPasted(event.currentTarget.value)}
                />
                <button type="submit">Open</button>
              </div>
              <p id="link-note" class="note" role="status">
                {wrong ? 'That is no link to this page: it has to contain #token=…' : ''}
              </p>
            </form>
          </>
        )}
      </div>
    </main>
  )
}
