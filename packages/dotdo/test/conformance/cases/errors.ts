/** What of a failure crosses a link, and what stays at home. */
import { nameKey } from '../../../src/rpc/errors.ts'
import { eventually, grouped, must, refused, same, type Case, type Far, type Traits } from '../kit.ts'
import { failures } from '../samples.ts'

export const errorCases: Case[] = []

const errors = grouped(errorCases, 'errors')

/** Without telling the compiler, which would then forget that anything may be asked of it. */
const isError = (it: Far): boolean => it instanceof Error

const thrownBy = async (call: Far): Promise<Far> => {
  try {
    await call
  } catch (error) {
    return error
  }
  throw new Error('did not throw')
}

/** An error as a log has it, by the name that has arrived. */
const told =
  ({ isBare }: Traits) =>
  (error: Far): string => {
    must(isBare === true || !(nameKey in error), 'the property of the name is gone')
    return `${(isBare && error[nameKey]) || error.name}: ${error.message}`
  }

errors('keep their message', async ({ open }) => {
  const world = await open()
  same((await refused(() => world.fail('plain'))).message, 'it broke')
})
errors('of a promise are those of a throw', async ({ open }) => {
  const world = await open()
  same((await refused(() => world.failLater('coded'))).message, 'too far')
})
errors('keep code, retryable and data', async ({ open }) => {
  const world = await open()
  const { code, retryable, data } = await thrownBy(world.fail('coded'))
  same({ code, retryable, data }, { code: 'TOO_FAR', retryable: true, data: { by: 3, at: new Date(5) } })
})
errors('that JavaScript knows keep their class', async ({ open }) => {
  const world = await open()
  const error = await thrownBy(world.fail('coded'))
  must(error instanceof RangeError, `it is a ${error.constructor.name}`)
})
errors('keep their own properties', async ({ open }) => {
  const world = await open()
  const { code, status, details } = await thrownBy(world.fail('owned'))
  same({ code, status, details }, { code: 'OWNED', status: 404, details: { reason: 'x', tries: [1, 2] } })
})
errors('lose what cannot be sent, and arrive all the same', async ({ open }) => {
  const world = await open()
  for (const kind of ['unsendable', 'circular'] as const) {
    const error = await thrownBy(world.fail(kind))
    must(isError(error), 'an error')
    same([error.message, error.code], [failures[kind]().message, (failures[kind]() as Far).code])
  }
})
errors('leave their stack at home', ['remote'], async ({ open }) => {
  const world = await open()
  const error = await thrownBy(world.fail('plain'))
  must(!/samples\.ts|failures|worldDefinition/.test(error.stack ?? ''), error.stack)
})
errors('leave their cause at home: it may hold what is nobody else’s business', ['remote'], async ({ open }) => {
  const world = await open()
  const error = await thrownBy(world.fail('caused'))
  same(error.message, 'outer')
  must(!('cause' in error) && !JSON.stringify(error).includes('secret'), 'no cause')
})
errors('that gather others arrive', async ({ open }) => {
  const world = await open()
  const { message, errors: parts } = await thrownBy(world.fail('gathered'))
  same([message, ...parts.map((it: Error) => it.message)], ['gathered', 'a', 'b'])
})
errors('of a user’s class keep their name', async ({ open, traits }) => {
  const world = await open()
  const errors = await Promise.all([thrownBy(world.fail('named')), thrownBy(world.failLater('dotdos'))])
  same(errors.map(told(traits)), ['PaymentError: of a class', 'DotdoError: declined'])
  same(errors[1].code, 'DECLINED')
})
errors('that gather others keep the names of those', async ({ open, traits }) => {
  const world = await open()
  const { errors: parts } = await thrownBy(world.fail('gatheredNamed'))
  same(parts.map(told(traits)), ['PaymentError: of a class', 'TypeError: b'])
})
errors('as values keep their name, wherever they stand', async ({ open, traits }) => {
  const world = await open()
  const { list, deep } = await world.namedErrors()
  same([told(traits)(list[0]), list[1], told(traits)(deep.error)], ['PaymentError: of a class', 1, 'PaymentError: of a class'])
})
errors('keep their name in an argument', async ({ open }) => {
  const world = await open()
  same(await world.shown([failures.named()]), '[PaymentError("of a class")]')
})
errors('keep no name that is too long, and none that is no text', ['remote'], async ({ open, traits }) => {
  const world = await open()
  const [long, odd] = [await thrownBy(world.fail('namedAtLength')), await thrownBy(world.fail('misnamed'))]
  same(told(traits)(long), `${'x'.repeat(100)}: long`)
  same([odd.name, odd.message, odd instanceof TypeError], ['TypeError', 'odd', true])
  must(traits.isBare === true || !Object.keys(odd).some((key) => key.includes('name')), 'nothing is left of it')
})
for (const kind of ['text', 'null', 'undefined', 'object'] as const) {
  errors(`that are no errors (${kind}) arrive as what they are`, async ({ open }) => {
    const world = await open()
    same(await thrownBy(world.fail(kind)), failures[kind]())
    same(await world.square(2), 4)
  })
}
errors('as values are values', async ({ open }) => {
  const world = await open()
  const [one, two] = await world.errors()
  must(one instanceof TypeError && isError(two), 'errors')
  same([one.message, two.message, two.code], ['one', 'two', 'TWO'])
})
errors('of an argument’s error are values there', async ({ open }) => {
  const world = await open()
  must(/coded/.test(await world.shown(Object.assign(new Error('coded'), { code: 'X' }))), 'it arrived')
})
errors('of one call leave its siblings alone', async ({ open }) => {
  const world = await open()
  const outcomes = await Promise.allSettled([world.square(2), world.fail('plain'), world.square(3)])
  same(
    outcomes.map((it) => it.status),
    ['fulfilled', 'rejected', 'fulfilled'],
  )
})
errors('awaited twice are the same failure', async ({ open }) => {
  const world = await open()
  const call = world.fail('coded')
  same([(await thrownBy(call)).code, (await thrownBy(call)).code], ['TOO_FAR', 'TOO_FAR'])
})
errors('awaited a turn later are not lost', ['remote', 'later'], async ({ open, settle }) => {
  const world = await open()
  const call = world.fail('coded')
  await settle()
  same((await refused(() => call, /too far/)).code, 'TOO_FAR')
})
errors('of a callback reach the one who called it', ['callbacks'], async ({ open }) => {
  const world = await open()
  const error = await refused(
    () =>
      world.call(() => {
        throw Object.assign(new RangeError('of mine'), { code: 'MINE' })
      }),
    /of mine/,
  )
  same(error.code, 'MINE')
})
errors('of a callback have their name there', ['callbacks'], async ({ open, traits }) => {
  const world = await open()
  const error = await refused(() => world.call(() => Promise.reject(failures.named())), /of a class/)
  same(told(traits)(error), 'PaymentError: of a class')
})

const broken = grouped(errorCases, 'onRpcBroken')

broken('tells of a call that failed', async ({ open }) => {
  const world = await open()
  const told: string[] = []
  const call = world.fail('plain')
  call.onRpcBroken((error: Error) => told.push(error.message))
  await refused(() => call)
  await eventually('it is told', () => told.length === 1)
  same(told, ['it broke'])
})
broken('tells at once of a call that has failed', async ({ open }) => {
  const world = await open()
  const call = world.fail('plain')
  await refused(() => call)
  const told: string[] = []
  call.onRpcBroken((error: Error) => told.push(error.message))
  await eventually('it is told', () => told.length === 1)
})
broken('is silent about what works', async ({ open, settle }) => {
  const world = await open()
  const told: unknown[] = []
  const call = world.square(2)
  call.onRpcBroken((error: unknown) => told.push(error))
  same(await call, 4)
  await settle()
  same(told, [])
})
