/** State that several views need: the route, the present instant, the state of one object, and actions under way. */
import { useCallback, useEffect, useReducer, useRef, useState } from 'preact/hooks'
import type { Api, ObjectApi } from './api.ts'
import { emptyObject, reduceObject, type ObjectState } from './live-runs.ts'
import { parseRoute, type Route } from './route.ts'

/** Where the address says we are. */
export function useRoute(): Route {
  const [hash, setHash] = useState(location.hash)
  useEffect(() => {
    const changed = () => setHash(location.hash)
    addEventListener('hashchange', changed)
    return () => removeEventListener('hashchange', changed)
  }, [])
  return parseRoute(hash)
}

/** The present instant, told anew every `everyMs`; less often for those who want less motion. */
export function useNow(everyMs: number): number {
  const [now, setNow] = useState(() => Date.now())
  useEffect(() => {
    setNow(Date.now())
    const calm = matchMedia('(prefers-reduced-motion: reduce)').matches
    const timer = setInterval(() => setNow(Date.now()), calm ? Math.max(everyMs, 1000) : everyMs)
    return () => clearInterval(timer)
  }, [everyMs])
  return now
}

/** How an object's events reach the page. */
export type Link = { status: 'connecting' } | { status: 'live' } | { status: 'lost'; reason: string }

/** One object as its views see it. */
export interface LiveObject {
  api: ObjectApi
  state: ObjectState
  link: Link
  /** Why the last read failed; what is shown may be old then. */
  error: unknown
  /** Why the run that is looked at cannot be shown. */
  openError: unknown
  /** Reads again what is shown. */
  refresh(): void
  loadOlder(): Promise<void>
}

/** One object, read now and again whenever events were missed, and kept up to date by events in between. */
export function useLiveObject(api: Api, noun: string, name: string, runId: string | undefined): LiveObject {
  const [state, dispatch] = useReducer(reduceObject, emptyObject)
  const [link, setLink] = useState<Link>({ status: 'connecting' })
  const [error, setError] = useState<unknown>()
  const [openError, setOpenError] = useState<unknown>()
  const object = useRef<ObjectApi | undefined>(undefined)
  if (!object.current) object.current = api.object(noun, name)
  // One read at a time: an answer that is overtaken by a later one would take the state back. A wish during a read is granted after it.
  const reading = useRef({ busy: false, again: false, gone: false, runId })
  reading.current.runId = runId

  const refresh = useCallback(() => {
    const read = reading.current
    if (read.busy) {
      read.again = true
      return
    }
    const once = async () => {
      do {
        read.again = false
        const wanted = read.runId
        dispatch({ type: 'reading' })
        try {
          const { runs, schedules, open, openError } = await object.current!.read(wanted)
          if (read.gone) return
          if (wanted !== read.runId) {
            read.again = true
            continue
          }
          dispatch({ type: 'read', runs, schedules, open })
          setOpenError(openError)
          setError(undefined)
        } catch (failure) {
          if (!read.gone) setError(failure)
        }
      } while (read.again)
    }
    read.busy = true
    void once().finally(() => (read.busy = false))
  }, [])

  useEffect(() => {
    const read = reading.current
    read.gone = false
    refresh()
    const subscription = object.current!.watch({
      event: (event) => dispatch({ type: 'event', event, receivedAt: Date.now() }),
      refresh: () => (setLink({ status: 'live' }), refresh()),
      resumed: () => setLink({ status: 'live' }),
      lost: (reason) => setLink({ status: 'lost', reason }),
      ended: (error) => setLink({ status: 'lost', reason: error instanceof Error ? error.message : String(error) }),
    })
    return () => {
      read.gone = true
      subscription.close()
    }
  }, [refresh])

  const first = useRef(true)
  useEffect(() => {
    if (first.current) {
      first.current = false
      return
    }
    dispatch({ type: 'look' })
    setOpenError(undefined)
    if (runId !== undefined) refresh()
  }, [runId, refresh])

  const loadOlder = async () => {
    const last = state.runs.at(-1)
    if (last) dispatch({ type: 'older', runs: await object.current!.older(last.runId) })
  }
  return { api: object.current, state, link, error, openError, refresh, loadOlder }
}

/** An action that somebody started by a button: whether it is under way, and why it failed. */
export function useAction(): {
  busy: string | undefined
  error: unknown
  run(name: string, action: () => Promise<void>): void
  dismiss(): void
} {
  const [busy, setBusy] = useState<string>()
  const [error, setError] = useState<unknown>()
  const run = (name: string, action: () => Promise<void>) => {
    setBusy(name)
    setError(undefined)
    void action()
      .catch(setError)
      .finally(() => setBusy(undefined))
  }
  return { busy, error, run, dismiss: () => setError(undefined) }
}

/** The width of an element, in pixels; 0 before it is known. */
export function useWidth<E extends Element>(): [(element: E | null) => void, number] {
  const [width, setWidth] = useState(0)
  const observer = useRef<ResizeObserver | undefined>(undefined)
  const measure = useCallback((element: E | null) => {
    observer.current?.disconnect()
    if (!element) return
    observer.current = new ResizeObserver(([entry]) => entry && setWidth(Math.floor(entry.contentRect.width)))
    observer.current.observe(element)
  }, [])
  return [measure, width]
}
