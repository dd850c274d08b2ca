/** What Temporal's worker bundles and runs in a sandbox: the two kinds of run. */
import { proxyActivities, proxyLocalActivities } from '@temporalio/workflow'

const { keep } = proxyLocalActivities({ startToCloseTimeout: '1 minute' })
const { write } = proxyActivities({ startToCloseTimeout: '1 minute' })

export async function noop(count) {
  let sum = 0
  for (let i = 0; i < count; i++) sum += await keep(i)
  return sum
}

export async function io(count) {
  let sum = 0
  for (let i = 0; i < count; i++) sum += await write(i)
  return sum
}
