/** The objects of the tests of authority: one that capabilities are handed out of, and one that hands them out and uses them. */
import { RpcTarget } from 'capnweb'
import { codeOf, DO, DotdoError, grants, narrow, restore, revoke, save, type GrantView } from '../../src/index.ts'
import { ambientLinks } from '../../src/object/ambient.ts'

class Part extends RpcTarget {
  #name: string
  constructor(name: string) {
    super()
    this.#name = name
  }
  get() {
    return this.#name
  }
  set(name: string) {
    this.#name = name
  }
}

/** What capabilities are handed out of. */
export const Shelf = DO.extend({
  items: [] as unknown[],
  add(item: unknown) {
    return this.items.push(item)
  },
  read(index: number) {
    return this.items[index]
  },
  all() {
    return this.items
  },
  part(name: string) {
    return new Part(`${this.id}/${name}`)
  },
  reading() {
    return narrow(this, { only: ['read'] })
  },
  async shareReading() {
    return await save(this, { only: ['read'] })
  },
  async takeBack(id: string) {
    return await revoke(id)
  },
  async handedOut() {
    return await grants(this)
  },
})

const refusal = (call: PromiseLike<unknown>) => Promise.resolve(call).catch((error: unknown) => codeOf(error) ?? String(error))

/** What hands them out and uses them. */
export const Keeper = DO.extend({
  async hand(shelf: string, options: object) {
    return await save(this.Shelf(shelf), options)
  },
  async narrowedTo(shelf: string, caveats: object) {
    return (await (narrow(this.Shelf(shelf), caveats) as any).all()) as unknown
  },
  async handPart(shelf: string, part: string, options: object) {
    return await save(this.Shelf(shelf).part(part), { ...options, label: 'a part' })
  },
  async handAwaited(shelf: string, name: string) {
    const part = await this.Shelf(shelf).part(name)
    const token = await save(part)
    // Until it is let go of, its object stays.
    part[Symbol.dispose]()
    return token
  },
  async handOn(token: string, caveats: object, options: object) {
    return await save(narrow(restore<any>(token), caveats), options)
  },
  async saveWrong(what: string) {
    const shelf = this.Shelf('wrong')
    const wrong: Record<string, () => unknown> = {
      data: () => ({ a: 1 }),
      'a function': () => () => 1,
      'a target of one’s own': () => new Part('x'),
      'a promise of data': () => Promise.resolve(1),
      'an argument that is no data': () => shelf.part(() => 1),
    }
    return await save(wrong[what]!())
  },
  async use(token: string, method: string, ...args: unknown[]) {
    return await restore<any>(token)[method](...args)
  },
  async useHeld(token: string, secret: string, method: string, ...args: unknown[]) {
    return await restore<any>(token, { holder: { secret } })[method](...args)
  },
  async hold(token: string, shelf: string) {
    const cap = restore<any>(token)
    const part = await cap.part('p')
    const before = await cap.add('held')
    await revoke((await grants(this.Shelf(shelf)))[0]!)
    return [before, await refusal(cap.add('more')), await refusal(part.get()), await refusal(restore<any>(token).add('more'))]
  },
  async runWith(token: string, shelf: string) {
    const cap = restore<any>(token)
    await this.do(() => cap.add('first'), { stepId: 'first' })
    await this.do(async () => await revoke((await grants(this.Shelf(shelf)))[0]!), { stepId: 'revoke' })
    await this.do(() => cap.add('second'), { stepId: 'second', retries: { limit: 0 } })
  },
  async listOf(shelf: string) {
    return await grants(this.Shelf(shelf))
  },
  async revokeToken(token: string) {
    return await revoke(token)
  },
  async revokeEntry(entry: GrantView) {
    return await revoke(entry)
  },
  async narrowed(shelf: string) {
    const before = ambientLinks().stats.messages
    const adding = narrow(this.Shelf(shelf), { only: ['add'], uses: 2, where: { add: [{ in: ['a', 'b'] }] } }) as any
    const added = await adding.add('a')
    const refused = await refusal(adding.read(0))
    const again = await adding.add('b')
    const usedUp = await refusal(adding.add('a'))
    const wrong = await refusal((narrow(this.Shelf(shelf), { where: { add: ['x'] } }) as any).add('y'))
    return { added, refused, again, wrong, usedUp, messages: ambientLinks().stats.messages - before }
  },
  async narrowedPart(shelf: string) {
    const before = ambientLinks().stats.messages
    const part = narrow(this.Shelf(shelf).part('top'), { only: ['get'] }) as any
    const [got, refused] = await Promise.all([part.get(), refusal(part.set('x'))])
    return { got, refused, messages: ambientLinks().stats.messages - before }
  },
  async pass(shelf: string) {
    return await this.Keeper('receiver').receive(narrow(this.Shelf(shelf), { only: ['add'], uses: 1 }))
  },
  async receive(cap: any) {
    return [await cap.add('x'), await refusal(cap.read(0)), await refusal(cap.add('y'))]
  },
  async spill(token: string) {
    this.send('Keeper.spilled', { token, text: `spilled ${token}` })
    throw new DotdoError('KEEPER_LEAKS', `leaked ${token}`, { data: { token, deep: [{ token }] } })
  },
  async leak(token: string) {
    await this.do(() => token, { stepId: 'returns it' })
    await this.do(
      () => {
        throw new Error(`failed with ${token}`)
      },
      { stepId: 'throws it', retries: { limit: 0 } },
    )
  },
  async forget(token: string) {
    this.Shelf('forgotten').add(1)
    this.Keeper('forgets').spill(token)
  },
})
