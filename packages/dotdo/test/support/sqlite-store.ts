/** The simulated platform's SQLite, where the tests of the rooms have always found it. */
export { SqliteStore } from '../../src/testing/sqlite-store.ts'
