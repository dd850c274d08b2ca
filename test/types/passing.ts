/** What can be passed to a method of another object, and what `.map` gives: compiled by `npm run check types`, never run. */
import { RpcTarget } from 'cloudflare:workers'
import { DO, graph, narrow, restore, save, type Argument, type Element, type Graph, type Narrowed, type Pending, type Remote } from 'dotdo'
import { Counter, type Row, type Stage } from './app.ts'
import { claim, type IsAny, type Same } from './same.ts'

class Impostor extends RpcTarget {}

export const Passer = DO.extend({
  async promises() {
    const a = this.Stage('a')
    const b = this.Stage('b')
    // A result of this object, of another, or of no object at all is an argument before it is there.
    const doubled = await a.run(a.run([1]))
    claim<Same<typeof doubled, number[]>>(true)
    await a.run(b.run([1]))
    await a.run(Promise.resolve([1]))
    await this.ColdStore('w').freeze(this.Stage('s').rows())
    // In parts too, however deep.
    await a.lookup({ id: b.tree().label, limit: this.Node('n').visit() })
    await this.ColdStore('w').freeze([{ id: 'here' }, { id: b.tree().label }, b.lookup({ id: 'x' })])
    // @ts-expect-error a promise of text where numbers are taken
    void a.run(b.names())
    // @ts-expect-error a promise of a number where text is taken, deep inside
    void a.lookup({ id: this.Node('n').visit() })
    // @ts-expect-error a field that is not there
    void a.lookup({ limit: 1 })
  },

  async capabilities() {
    const a = this.Stage('a')
    const counter = new Counter()
    await a.countWith(counter, 1)
    await a.countWith(a.counter(), 1)
    await a.countWith(await a.counter(), this.Node('n').visit())
    await a.adopt(counter)
    await a.adopt(a.counter())
    await a.adopt(await a.counter())
    // @ts-expect-error another capability
    void a.adopt(new Impostor())
    // @ts-expect-error another object
    void a.adopt(this.Stage('b'))
    // @ts-expect-error a result that is another capability
    void a.adopt(this.Pipeline('main').getStage(0))
  },

  async callbacks() {
    const a = this.Stage('a')
    const answers = await a.each((row, counter) => {
      claim<Same<typeof row, Row>>(true)
      claim<Same<typeof counter, Remote<Counter>>>(true)
      return row.delay > 0
    })
    claim<Same<typeof answers, boolean[]>>(true)
    await a.each(async (_, counter) => (await counter.count) > 0)
    await a.told(async (row) => void (await this.Stage('b').lookup({ id: row.id })))
    await a.told((row) => row.delay)
    // @ts-expect-error the callback answers with a boolean
    void a.each((row) => row.id)
    // @ts-expect-error the callback is called with a row
    void a.told((row: string) => row)
  },

  async natives() {
    // What the platform's own calls give, and its services, are arguments as well.
    const rate = await this.Stage('a').rate(this.env.RATES, this.env.RATES.rate('EUR'))
    claim<Same<typeof rate, number>>(true)
    // @ts-expect-error a promise of the platform's of something else
    void this.Stage('a').run(this.env.RATES.rate('EUR'))
    const count = await this.Stage('a').native().add(1)
    claim<IsAny<typeof count>>(false)
    const adopted = await this.Stage('a').adopt(this.Stage('b').native())
    claim<Same<typeof adopted, number>>(true)
  },

  async streams() {
    const name = await this.Stage('a').write(this.Stage('b').read(), 'x')
    claim<Same<typeof name, string>>(true)
    await this.Stage('a').write(new Blob(['x']).stream(), 'x')
    // @ts-expect-error no stream
    void this.Stage('a').write(new Blob(['x']), 'x')
  },

  async maps() {
    const a = this.Stage('a')
    const found = await a.names().map((name) => this.Stage('b').lookup({ id: name }))
    claim<IsAny<typeof found>>(false)
    claim<Same<(typeof found)[number]['id'], string>>(true)
    const counts = await a.counters().map((counter) => ({ count: counter.count, sum: counter.add(1) }))
    claim<Same<typeof counts, { count: number; sum: number }[]>>(true)
    const ids = await a.rows().map((row) => row.id)
    claim<Same<typeof ids, string[]>>(true)
    const same = await a.rows().map((row) => row)
    claim<Same<typeof same, Row[]>>(true)
    // What a map gives is a list that is not there yet: it is mapped again, and passed on.
    const lengths = await a
      .rows()
      .map((row) => a.lookup({ id: row.id }))
      .map((row) => row.id)
    claim<Same<typeof lengths, string[]>>(true)
    await this.ColdStore('w').freeze(a.rows().map((row) => ({ id: row.id })))
    void a.rows().map((row) => {
      // @ts-expect-error a number that is not there yet cannot be computed with
      return row.delay + 1
    })
    // @ts-expect-error nothing can be awaited in a recording
    void a.rows().map(async (row) => row.id)
    // @ts-expect-error no such property of an element
    void a.rows().map((row) => row.ids)
    // @ts-expect-error the element is no number
    void a.rows().map((row) => a.run([row]))
  },

  async steps() {
    const doubled = await this.do(() => this.Stage('a').run([1]), { stepId: 'run' })
    claim<Same<typeof doubled, number[]>>(true)
    const all = await this.do(() => Promise.all(['a', 'b'].map((id) => this.Stage(id).rows())), { stepId: 'rows' })
    claim<Same<typeof all, Row[][]>>(true)
  },
})

/** A narrowed capability has those members and no others. */
export async function narrowed(
  stage: Narrowed<Remote<typeof Stage>, 'run' | 'size'>,
  pending: Narrowed<Pending<Counter>, 'add'>,
): Promise<void> {
  const result = await stage.run([1])
  claim<Same<typeof result, number[]>>(true)
  claim<Same<Awaited<typeof stage.size>, number>>(true)
  // @ts-expect-error narrowed away
  void stage.rows()
  const copy = stage.dup()
  claim<Same<typeof copy, typeof stage>>(true)
  await pending.add(1)
  // @ts-expect-error narrowed away
  void pending.count
  const local: Narrowed<Counter, 'add'> = pending
  await local.add(1)
}

export const Issuer = DO.extend({
  status(): string {
    return 'well'
  },
  /** Of itself, of another object, of what one hands out. */
  handOut() {
    return {
      own: narrow(this, { only: ['status'] }),
      stage: narrow(this.Stage('a'), { only: ['run', 'size'] }),
      counter: narrow(this.Stage('a').counter(), { only: ['add'] }),
      twice: narrow(narrow(this.Stage('a'), { only: ['run', 'rows'] }), { only: ['rows'] }),
      free: narrow(this.Mystery('a'), { only: ['anything'] }),
    }
  },
  async use() {
    const { own, stage, counter, twice, free } = this.handOut()
    claim<Same<Awaited<ReturnType<typeof own.status>>, string>>(true)
    claim<Same<Awaited<ReturnType<typeof stage.run>>, number[]>>(true)
    claim<Same<Awaited<ReturnType<typeof counter.add>>, number>>(true)
    claim<Same<Awaited<ReturnType<typeof twice.rows>>, Row[]>>(true)
    claim<IsAny<typeof free>>(true)
    // @ts-expect-error narrowed away
    void own.handOut()
    // @ts-expect-error narrowed away
    void stage.rows()
    // @ts-expect-error narrowed away by the second
    void twice.run([1])
    // @ts-expect-error there is no such member to keep
    narrow(this.Stage('a'), { only: ['runn'] })
    // @ts-expect-error a condition on a member that is not there
    narrow(this.Stage('a'), { where: { runn: [] } })
    const token = await save(this.Stage('a').counter(), { only: ['add'], label: 'for the tests' })
    claim<Same<typeof token, string>>(true)
    // A narrowed stub is one still: it is passed, and what was saved comes back as what it was.
    await this.Stage('b').adopt(this.Stage('a').counter())
    const rows = await restore<typeof Stage>('token').rows()
    claim<Same<typeof rows, Row[]>>(true)
  },
  async graphs() {
    const one = graph(() => this.Stage('a').run(this.Stage('b').run([1])))
    claim<Same<typeof one, Graph<number[]>>>(true)
    const both = graph(() => ({ rows: this.Stage('a').rows(), sizes: [this.Stage('a').size, this.Stage('b').size] }))
    const result = await both.send()
    claim<Same<typeof result, { rows: Row[]; sizes: number[] }>>(true)
    // A capability in the result is a stub.
    const counter = await graph(() => this.Stage('a').counter()).send()
    claim<Same<typeof counter, Remote<Counter>>>(true)
    // It is a value: what takes a function to run takes one, and a step gives what it gives.
    this.every.day.at('2am')(one)
    const step = await this.do(one, { stepId: 'graph' })
    claim<Same<typeof step, number[]>>(true)
    const { result: rehearsed } = await both.dryRun()
    claim<Same<typeof rehearsed, { rows: Row[]; sizes: number[] }>>(true)
    // What a graph gives is a result as any other: it can be passed on.
    await this.ColdStore('w').freeze(graph(() => this.Stage('a').rows()).send())

    // Values that it is sent with are not there yet while it is recorded.
    const looked = graph((id: Element<string>, batch: Element<number[]>) => [this.Stage('a').lookup({ id }), this.Stage('a').run(batch)])
    claim<Same<Parameters<typeof looked.send>, [string, number[]]>>(true)
    const spelt = graph((batch: Element<number[]>) => this.Stage('a').run(batch))
    claim<Same<Awaited<ReturnType<typeof spelt.send>>, number[]>>(true)
    await spelt.send([1])
    // @ts-expect-error sent with something else
    await spelt.send('1')
    // @ts-expect-error sent with nothing
    await spelt.send()
    // @ts-expect-error a value that is not there yet cannot be computed with
    graph((day: Element<number>) => this.Stage('a').run([day + 1]))
    // @ts-expect-error the types of its calls hold in a recording too
    graph(() => this.Stage('a').run(this.Stage('b').names()))
    // @ts-expect-error a recording waits for nothing
    graph(async () => await this.Stage('a').rows())
    const loaded: Graph<Row[], [string]> = graph.load<Row[], [string]>(both.save())
    await loaded.send('x')
  },
})

claim<Same<Argument<unknown>, unknown>>(true)
claim<IsAny<Argument<any>>>(true)
claim<IsAny<Remote<any>>>(true)
claim<IsAny<Pending<any>>>(true)
