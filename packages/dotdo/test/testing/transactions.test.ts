/** What waits for the end of transactions that stay open over turns, over a storage that has them and nothing else. */
import { expect, test } from 'vitest'
import { Transactions } from '../../src/object/transactions.ts'

type Rollback = Pick<DurableObjectTransaction, 'rollback'>

/** A storage as the platform's: the code of a transaction begins later, and one that has thrown is taken back. */
function storage() {
  const done: string[] = []
  const transactions = new Transactions(() => void done.push('ending'))
  const it = {
    async transaction<T>(work: (it: Rollback) => Promise<T>): Promise<T> {
      await Promise.resolve()
      try {
        const given = await work({ rollback: () => void done.push('rollback') })
        done.push('commit')
        return given
      } catch (thrown) {
        done.push('undone')
        throw thrown
      }
    },
  }
  transactions.watch(it as unknown as DurableObjectStorage)
  return { done, transactions, transaction: it.transaction.bind(it) }
}

const note = (done: string[], what: string) => () => void done.push(what)
const turn = () => new Promise((resolve) => void setImmediate(resolve))

test('where none is open everything is done at once, and nothing is refused', () => {
  const { done, transactions } = storage()
  transactions.whenNone(note(done, 'after'))
  transactions.atLast(note(done, 'last'))
  transactions.refuse('A step', 'Shop/eu')
  expect(done).toEqual(['after', 'last'])
})

test('what is to be there with the transaction is done in it at its end, and what leaves waits until it is there', async () => {
  const { done, transactions, transaction } = storage()
  const given = await transaction(async () => {
    transactions.whenNone(note(done, 'after'))
    transactions.atLast(note(done, 'last'))
    await turn()
    expect(done).toEqual([])
    return 'given'
  })
  expect(given).toBe('given')
  expect(done).toEqual(['last', 'ending', 'commit', 'after'])
  expect(transactions.isOpen).toBe(false)
})

test('one that throws drops what was to be there with it, and lets go of what waited', async () => {
  const { done, transactions, transaction } = storage()
  const undone = transaction(async () => {
    transactions.whenNone(note(done, 'after'))
    transactions.atLast(note(done, 'last'))
    await turn()
    throw new Error('no')
  })
  await expect(undone).rejects.toThrow('no')
  expect(done).toEqual(['undone', 'after'])
})

test('rollback() drops what came before it, and keeps what comes behind it', async () => {
  const { done, transactions, transaction } = storage()
  await transaction(async (it) => {
    transactions.atLast(note(done, 'before'))
    it.rollback()
    transactions.atLast(note(done, 'behind'))
  })
  expect(done).toEqual(['rollback', 'behind', 'ending', 'commit'])
})

test('of transactions in one another the outermost decides, and one inside that is taken back takes only its own along', async () => {
  const { done, transactions, transaction } = storage()
  const inner = (what: string, fails = false) =>
    transaction(async () => {
      transactions.whenNone(note(done, `${what} after`))
      transactions.atLast(note(done, `${what} last`))
      if (fails) throw new Error(what)
    })
  await transaction(async () => {
    await inner('one')
    await expect(inner('two', true)).rejects.toThrow('two')
    expect(done).toEqual(['commit', 'undone'])
  })
  expect(done.slice(2)).toEqual(['one last', 'ending', 'commit', 'one after', 'two after'])
  done.length = 0
  const undone = transaction(async () => {
    await inner('three')
    throw new Error('all')
  })
  await expect(undone).rejects.toThrow('all')
  expect(done).toEqual(['commit', 'undone', 'three after'])
})

test('only code of the transaction is refused, and not that of another object or what goes on behind its end', async () => {
  const { transactions, transaction } = storage()
  const other = storage()
  const { promise: ended, resolve: end } = Promise.withResolvers<void>()
  let behind: Promise<void> | undefined
  const open = transaction(async () => {
    behind = ended.then(() => transactions.refuse('A step', 'Shop/eu'))
    await turn()
    other.transactions.refuse('A step', 'Shop/us')
    await turn()
    transactions.refuse('A step', 'Shop/eu')
  })
  await turn()
  expect(transactions.isOpen).toBe(true)
  transactions.refuse('A step', 'Shop/eu')
  await expect(open).rejects.toMatchObject({ code: 'IN_TRANSACTION', data: { what: 'A step', object: 'Shop/eu' }, retryable: false })
  end()
  await behind
})

test('storage without a transaction open never tells that there is one, also when the platform refuses to open it', async () => {
  const transactions = new Transactions(() => {})
  const it = { transaction: () => Promise.reject(new Error('storage is over')) }
  transactions.watch(it as unknown as DurableObjectStorage)
  await expect((it.transaction as unknown as (work: () => void) => Promise<void>)(() => {})).rejects.toThrow('storage is over')
  expect(transactions.isOpen).toBe(false)
})
