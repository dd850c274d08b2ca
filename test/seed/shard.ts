import { DO, SqliteScanner } from 'dotdo'

/** One shard of the events that "Fanout" queries. */
export const Shard = DO.extend({
  init() {
    this.ctx.storage.sql.exec('CREATE TABLE IF NOT EXISTS events (user_id TEXT, action TEXT)')
  },
  fill(users: string[]) {
    for (const user of users) this.ctx.storage.sql.exec('INSERT INTO events VALUES (?, ?)', user, 'click')
    return users.length
  },
  scanner() {
    return new SqliteScanner(this, ['events'])
  },
})
