/** One object: kept live for as long as it is shown, whichever side of it. */
import type { Api } from '../api.ts'
import { useLiveObject } from '../hooks.ts'
import type { ObjectRoute } from '../route.ts'
import { ErrorBox } from './parts.tsx'
import { QueryView } from './query.tsx'
import { RunView } from './run.tsx'
import { RunsView } from './runs.tsx'
import { SchedulesView } from './schedules.tsx'

/** The view of the object that the route names. Mounted anew for each object, so that nothing of one is shown under the name of another. */
export function ObjectView({ api, route }: { api: Api; route: ObjectRoute }) {
  const live = useLiveObject(api, route.noun, route.name, route.tab === 'runs' ? route.runId : undefined)
  const { error, state } = live
  return (
    <>
      {error !== undefined && (
        <ErrorBox
          title={state.loaded ? 'What is shown may be old: it could not be read again' : `${route.noun}/${route.name} could not be read`}
          error={error}
          onRetry={() => live.refresh()}
        />
      )}
      {route.tab === 'query' && <QueryView live={live} route={route} />}
      {route.tab === 'schedules' && <SchedulesView live={live} route={route} />}
      {route.tab === 'runs' &&
        (route.runId === undefined ? (
          <RunsView live={live} route={route} />
        ) : (
          <RunView key={route.runId} live={live} route={route} runId={route.runId} side={route.side} />
        ))}
    </>
  )
}
