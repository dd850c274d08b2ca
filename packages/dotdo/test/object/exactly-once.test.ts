/** Calls between objects inside of steps, in workerd: once each in effect, however often the step is attempted. */
import { describe, expect, test } from 'vitest'
import { Links } from '../../src/object/nouns.ts'
import { linkPorts } from '../../src/object/platform.ts'
import type { Far } from '../conformance/kit.ts'
import type { Way } from './ledger-app.ts'

const links = new Links(linkPorts('test', () => {}))
const payer = (name: string) => links.user('Payer', name) as Far
const ledger = (name: string) => links.user('Ledger', name) as Far
const failure = (call: PromiseLike<unknown>) =>
  Promise.resolve(call).then(
    (value) => ({ answered: value }),
    ({ code, message }: Error & { code?: string }) => code ?? message,
  )

describe('a call inside of a step that is attempted again', () => {
  test('of a method that returns no promise is answered, and not made', async () => {
    expect(await payer('a').pay('sync', 'add')).toBe(5)
    expect(await ledger('sync').sum()).toBe(5)
  })

  test('of a method with steps of its own takes the result of its run', async () => {
    expect(await payer('a').pay('steps', 'addInSteps')).toEqual([5, 55])
    expect(await ledger('steps').sum()).toBe(55)
    const [run] = await (links.inspector('Ledger', 'steps') as Far).runs()
    expect(run).toMatchObject({ status: 'done', target: { kind: 'method', name: 'addInSteps' } })
  })

  test('of a method whose object died in between goes on behind the steps that are done', async () => {
    expect(await payer('a').pay('dies', 'addAndDie')).toBe(55)
    expect(await ledger('dies').sum()).toBe(55)
  })

  test('of many calls in one message is answered for each', async () => {
    expect(await payer('a').payMany('many')).toEqual([1, 3, 6])
    expect(await ledger('many').sum()).toBe(6)
  })

  test('with the result of another object as argument makes neither again', async () => {
    expect(await payer('a').payWhatAnotherGives('taker', 'giver')).toBe(7)
    expect([await ledger('taker').sum(), await ledger('giver').sum()]).toEqual([7, 7])
  })

  test('with other arguments is refused, and nothing more is done', async () => {
    expect(await failure(payer('a').payWithTheTime('changed'))).toBe('CALL_CHANGED')
    expect(await ledger('changed').sum()).toBe(1)
  })

  test('is remembered by an object that has died since', async () => {
    expect(await payer('a').payAndKill('killed')).toBe(5)
    expect(await ledger('killed').sum()).toBe(5)
  })

  test('on what a call gave is answered by an object that has died since', async () => {
    expect(await payer('a').payByPage('pages')).toEqual([5, [11, 71]])
    expect(await ledger('pages').sum()).toBe(71)
  })

  test('in another step is another call', async () => {
    expect(await payer('a').payTwiceInTwoSteps('two')).toEqual([1, 2])
  })

  test('goes round in circles of objects without waiting for itself', async () => {
    expect(await payer('circle 0').inACircle('circle', 5)).toBe(1)
    expect(await ledger('circle').sum()).toBe(1)
  })
})

describe('a method that a step calls', () => {
  test('and that throws has undone what it wrote', async () => {
    expect(await failure(payer('a').putInVain('vain'))).toBe('put and then failed')
    expect([await ledger('vain').sum(), await ledger('vain').kept()]).toEqual([0, 0])
  })

  test.each<Way | 'event'>([
    'put',
    'put into kv',
    'insert that gives rows',
    'insert behind a name',
    'insert before a look',
    'insert in a transaction',
    'insert that stops half way',
    'event',
  ])('and that writes (%s) is called once', async (way) => {
    expect(await payer(way).goTwice(way, way)).toBe(1)
  })

  test.each<Way>(['look', 'look at a key', 'update of nothing', 'delete of nothing'])(
    'and that writes nothing (%s) is called by each attempt',
    async (way) => {
      expect(await payer(way).goTwice(way, way)).toBe(2)
    },
  )

  test('and that writes and gives a capability is refused, with its writes undone', async () => {
    expect(await failure(payer('a').payAndTakePage('page'))).toBe('RESULT_NOT_KEPT')
    expect(await ledger('page').sum()).toBe(0)
  })
})
