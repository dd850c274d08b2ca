import { formatTimeOfDay } from './time-of-day.ts'

const weekdayNames = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday', 'Sunday']

/**
 * A cron pattern in words, for the shapes that the `every` grammar makes: `every minute`, `every hour`, `every day at 02:00`,
 * `every Monday at 09:00`, `every month on day 1 at 12:00`. Every other pattern is quoted as it is: `cron '15,45 8-18 * * 1-5'`. The
 * zone is not part of it.
 */
export function cronInWords(pattern: string): string {
  const [minute = '', hour = '', day = '', month, weekday = '', ...more] = pattern.split(' ')
  const quoted = `cron '${pattern}'`
  if (more.length > 0 || month !== '*') return quoted
  if (hour === '*' && day === '*' && weekday === '*') {
    if (minute === '*') return 'every minute'
    if (minute === '0') return 'every hour'
  }
  const days = daysInWords(day, weekday)
  if (!days || !/^\d+$/.test(minute) || !/^\d+$/.test(hour)) return quoted
  const at = `at ${formatTimeOfDay({ hour: Number(hour), minute: Number(minute) })}`
  return `every ${days} ${at}`
}

function daysInWords(day: string, weekday: string): string | undefined {
  if (day === '*') {
    if (weekday === '*') return 'day'
    if (weekday === '1-5') return 'weekday'
    if (weekday === '0,6' || weekday === '6,0') return 'weekend day'
    return /^\d$/.test(weekday) ? weekdayNames[Number(weekday)] : undefined
  }
  if (weekday !== '*') return undefined
  if (day === 'L') return 'month on the last day'
  return /^\d+$/.test(day) ? `month on day ${Number(day)}` : undefined
}
