/** What `this.Noun(id)` is: compiled by `npm run check types`, never run. */
import { DO, type HasEvents, type Noun, type NounsOf, type Pending, type Remote } from 'dotdo'
import type { Counter, Row, Stage, Tree } from './app.ts'
import type { Courier } from './elsewhere.ts'
import { claim, type IsAny, type Same } from './same.ts'

declare module 'dotdo' {
  // What a service of another Worker offers, in one line; and one noun alone.
  interface Nouns extends NounsOf<typeof import('./service.ts')> {
    readonly Courier: Noun<typeof Courier>
  }
}

export const Caller = DO.extend({
  async calls() {
    const stage = this.Stage('a')
    claim<IsAny<typeof stage>>(false)
    claim<Same<typeof stage, Remote<InstanceType<typeof Stage>> & HasEvents>>(true)

    const run = stage.run([1])
    claim<IsAny<typeof run>>(false)
    const doubled = await run
    claim<Same<typeof doubled, number[]>>(true)

    // A chain is typed all the way: nothing on it is silently `any`.
    const chain = this.Pipeline('main').getStage(0)
    claim<IsAny<typeof chain>>(false)
    const link = chain.run
    claim<IsAny<typeof link>>(false)
    const result = await this.Pipeline('main').getStage(0).run([1])
    claim<IsAny<typeof result>>(false)
    claim<Same<typeof result, number[]>>(true)

    // @ts-expect-error a batch is of numbers
    void stage.run(['1'])
    // @ts-expect-error a batch is of numbers, at the end of a chain too
    void this.Pipeline('main').getStage(0).run('1')
    // @ts-expect-error no such method
    void stage.runn([1])
    // @ts-expect-error no such method, at the end of a chain too
    void this.Pipeline('main').getStage(0).runn([1])
    // @ts-expect-error a stub is there at once and is not called
    void this.Pipeline('main').getStage.run([1])
    // @ts-expect-error the name of an object is text
    void this.Stage(1)
  },

  reach() {
    const stage = this.Stage('a')
    // @ts-expect-error a private name
    void stage._hidden
    // @ts-expect-error a private field
    void stage._secret
    // @ts-expect-error a field
    void stage.seen
    // @ts-expect-error what runs at the start of the object's life
    void stage.init
    // @ts-expect-error the platform's own
    void stage.fetch
    // @ts-expect-error of the far object's `this`
    void stage.ctx
  },

  async getters() {
    const size = await this.Stage('a').size
    claim<Same<typeof size, number>>(true)
    // A getter that leads to another object is a step of a chain.
    const answer = await this.Node('a').next().peer.answer()
    claim<Same<typeof answer, string>>(true)
    // Properties of a record that is not there yet.
    const label = await this.Stage('a').tree().label
    claim<Same<typeof label, string>>(true)
    // @ts-expect-error no such property
    void this.Stage('a').tree().leaf
  },

  async circles() {
    claim<Same<Awaited<ReturnType<Remote<typeof import('./app.ts').Node>['ahead']>>, number>>(true)
    const length = await this.Node('a').there()
    claim<Same<typeof length, number>>(true)
    const answer = await this.Peer('a').answer()
    claim<Same<typeof answer, string>>(true)
    const zero = await this.Node('a').countdown(3)
    claim<Same<typeof zero, number>>(true)
    // Its own kind, through its own methods.
    await this.Caller('other').reach()
  },

  async values() {
    const tree = await this.Stage('a').tree()
    claim<Same<typeof tree, Tree>>(true)
    const rows = await this.Stage('a').rows()
    claim<Same<typeof rows, Row[]>>(true)
    const maybe = await this.Stage('a').maybe('x')
    claim<Same<typeof maybe, Row | undefined>>(true)
    // @ts-expect-error it may not be there: nothing can be called on it before that is known
    void this.Stage('a').maybe('x').id
    const stream = await this.Stage('a').read()
    claim<Same<typeof stream, ReadableStream<Uint8Array>>>(true)
    const any = await this.Stage('a').untyped(1)
    claim<IsAny<typeof any>>(true)
    const unknown = await this.Stage('a').unknown(1)
    claim<Same<typeof unknown, unknown>>(true)
    const never = this.Stage('a').fail()
    claim<Same<typeof never, Pending<never>>>(true)
    // A list that is not there yet has elements by their places, and no length.
    // @ts-expect-error await it first
    void this.Stage('a').names().length
    const first = await this.Stage('a').names()[0]
    claim<Same<typeof first, string>>(true)
  },

  async capabilities() {
    const pending = this.Stage('a').counter()
    const sum = await pending.add(1)
    claim<Same<typeof sum, number>>(true)
    using counter = await pending
    claim<Same<typeof counter, Remote<Counter>>>(true)
    const count = await counter.count
    claim<Same<typeof count, number>>(true)
    // @ts-expect-error a private name
    void counter._hidden
    const copy = counter.dup()
    claim<Same<typeof copy, Remote<Counter>>>(true)

    const { at, counter: inside, again, rows } = await this.Stage('a').report()
    claim<Same<typeof at, Date>>(true)
    claim<Same<typeof inside, Remote<Counter>>>(true)
    const text = await again()
    claim<Same<typeof text, string>>(true)
    claim<Same<typeof rows, Row[]>>(true)
    const direct = await this.Stage('a').report().counter.add(2)
    claim<Same<typeof direct, number>>(true)

    // A stub that was handed on is the stub that it is.
    const { first, all } = await this.Pipeline('main').stages()
    const rest = await Promise.all([first, ...all].map((stage) => stage.run([1])))
    claim<Same<typeof rest, number[][]>>(true)
    const through = await this.Pipeline('main').stages().first.run([1])
    claim<Same<typeof through, number[]>>(true)
  },

  async others() {
    // Of another Worker, by a binding: the noun in capitals, and the noun.
    const frozen = await this.ColdStore('a').freeze([{ id: 'x' }])
    claim<Same<typeof frozen, number>>(true)
    const bytes = await this.Archive('a').find('x')
    claim<Same<typeof bytes, Uint8Array<ArrayBuffer> | null>>(true)
    // @ts-expect-error no such method over there
    void this.ColdStore('a').melt()
    // By a line of its own, alone and with all that its Worker offers.
    const sailed = await this.Ferry('a').sail(this.Courier('a').carry('x'))
    claim<Same<typeof sailed, string[]>>(true)
    const arrived = await this.Ferry('a').back().harbour()
    claim<Same<typeof arrived, 'harbour'>>(true)
    const carried = await this.Courier('a').carry('x')
    claim<Same<typeof carried, string[]>>(true)
    // @ts-expect-error a noun that nobody has declared: the compiler knows all that there are
    this.Elsewhere('a')
    // @ts-expect-error one that is misspelt
    void this.Stages('a').run([1])
    // A binding whose class nobody has named is free.
    const mystery = this.Mystery('a')
    claim<IsAny<typeof mystery>>(true)
    const limit = this.Limit
    claim<IsAny<typeof limit>>(true)
  },

  bindings() {
    claim<Same<typeof this.env.GREETING, string>>(true)
    claim<Same<typeof this.env.R2_BUCKET, R2Bucket>>(true)
    claim<IsAny<typeof this.env.UNDECLARED>>(true)
    // The platform's own stub of a bound class has its methods too.
    const native = this.env.COLD_STORE.getByName('a').freeze([{ id: 'x' }])
    claim<Same<Awaited<typeof native>, number>>(true)
  },
})
