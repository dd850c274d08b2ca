// "Scheduling with this.every"
import { DO } from 'dotdo'

const fired: string[] = []
const runETL = () => fired.push('runETL')
const generateReport = () => fired.push('generateReport')
const syncInventory = () => fired.push('syncInventory')
const checkAlerts = () => fired.push('checkAlerts')

export const Scheduling = DO.extend({
  init() {
    this.every.day.at('2am')(runETL)        // Daily at 2am
    this.every.Monday.at('9am')(generateReport) // Weekly on Monday
    this.every.hour(syncInventory)          // Every hour
    this.every(15).minutes(checkAlerts)     // Every 15 minutes
  },
  fired() {
    return fired
  },
})
