import s from './schedules.ts'
for await (const r of s()) console.log(r.name, r.value, r.baselineValue, r.ratio, r.ok)
