import { DurableObject, exports } from '#platform'
import { DotdoError } from '../base/errors.ts'
import type { LinkMessage, LinkReply } from '../rpc/frames.ts'
import type { PackedCall } from '../rpc/packed-call.ts'
import type { Defines } from '../rpc/remote.ts'
import { readDefinition, type FrameworkName, type Shape, type StubName } from './definition.ts'
import { ObjectHost } from './host.ts'
import { inJurisdiction, isNamespace } from './nouns.ts'
import type { TypedNouns } from './noun-types.ts'
import type { DotdoObject } from './self.ts'

/** The public methods of a definition, as a native stub of its class sees them. */
export type Reachable<T> = { [K in keyof T as K extends Hidden ? never : IsReadonly<T, K> extends true ? never : MethodName<T, K>]: T[K] }

/** What of a definition a stub offers: its public methods and its getters, which are what is read-only in it. */
export type Public<T> = {
  readonly [K in keyof T as K extends Hidden ? never : IsReadonly<T, K> extends true ? K : MethodName<T, K>]: T[K]
}

/**
 * `K`, where a method stands there. Names are picked with care not to ask for results: those of two classes that call each other would go round
 * in a circle. So a getter is told first, by being read-only and without its type, and the result of a method is compared with nothing.
 */
type MethodName<T, K extends keyof T> = T[K] extends (...args: never[]) => void ? K : never

type Hidden = 'init' | `_${string}`

/** Whether a member cannot be written: only then is a record of its name another type without `readonly`. The member's own type is left out of it. */
type IsReadonly<T, K extends keyof T> =
  Identical<{ [P in keyof Pick<T, K>]: 0 }, { -readonly [P in keyof Pick<T, K>]: 0 }> extends true ? false : true

type Identical<A, B> = (<X>() => X extends A ? 1 : 2) extends <X>() => X extends B ? 1 : 2 ? true : false

/**
 * What a definition is, beside what it says: nothing by a name of the framework, and no method by one that every stub keeps for itself. Such a member is
 * an error of the compiler, in the words that stand here, before it is `NAME_RESERVED` when the Worker starts.
 */
export type Unreserved<T> = {
  readonly [K in keyof T & FrameworkName]: Refused<`The name '${K}' is the framework's: give this member another one`>
} & {
  readonly [
    K in keyof T & StubName as MethodName<T, K>
  ]: Refused<`Every stub answers to '${K}' itself, so this method would never be called: give it another name`>
}

/** What nothing is, so that the compiler shows why. A text alone would make `never` of a number beside it, without a word. */
export interface Refused<Why extends string> {
  readonly refused: Why
}

/** An object of a class that {@link DO.extend} made: what a native stub of it offers, and what a stub of dotdo does. */
export type ObjectOf<T> = DurableObject & Reachable<T> & Defines<Public<T>>

/**
 * The class that {@link DO.extend} makes: a Durable Object class, to be exported by its noun. Stubs are typed by it: `Remote<typeof Stage>`.
 */
export type DurableObjectClass<T> = new (ctx: DurableObjectState, env: unknown) => ObjectOf<T>

/** Where objects come from. */
export const DO = {
  /**
   * Makes a Durable Object class of a plain definition: fields (each object gets copies), methods, getters, and `init()`, which runs at the
   * start of each life of the object and declares its schedules and handlers.
   *
   * Only the public methods and getters can be reached from outside; `_names`, fields and everything of the framework cannot.
   *
   * @throws `NAME_RESERVED`, `FIELD_NOT_CLONABLE`
   * @example
   * export const Counter = DO.extend({
   *   count: 0,
   *   add(n: number) {
   *     return (this.count += n)
   *   },
   * })
   */
  extend<T extends object>(definition: T & Unreserved<T> & ThisType<T & DotdoObject & TypedNouns>): DurableObjectClass<T> {
    const shape = readDefinition(definition)
    // Only these names stand on the prototype, so only these can be reached natively.
    class Facade extends DurableObject {
      readonly #host: ObjectHost

      constructor(ctx: DurableObjectState, env: never) {
        super(ctx, env)
        this.#host = new ObjectHost(nounOf(Facade, ctx), shape, ctx, env)
      }

      static callNatively(facade: Facade, method: string, args: unknown[]): unknown {
        return facade.#host.callNatively(method, args)
      }

      dotdoLink(message: LinkMessage): Promise<LinkReply> {
        return this.#host.link(message)
      }

      dotdoCall(...call: PackedCall): unknown {
        return this.#host.call(call)
      }

      override async fetch(request: Request): Promise<Response> {
        if (request.headers.get('upgrade') === 'websocket') return this.#host.live.accept(new URL(request.url).searchParams.get('after'))
        return new Response('Objects answer calls, not requests: use dotdo/client.\n', { status: 404 })
      }

      override alarm(told?: AlarmInvocationInfo): Promise<void> {
        return this.#host.alarm(told)
      }

      override webSocketMessage(): void {
        // Watchers only listen; pings are answered by the platform.
      }

      override webSocketClose(socket: WebSocket): void {
        socket.close()
        this.#host.live.left()
      }
    }
    for (const name of shape.names.methods) {
      Object.defineProperty(Facade.prototype, name, {
        value(this: Facade, ...args: unknown[]) {
          return Facade.callNatively(this, name, args)
        },
      })
    }
    return Facade as unknown as DurableObjectClass<T>
  },
}

/** Nouns of the objects that live in this isolate, by class: looked up once, because it costs a hash. */
const nouns = new WeakMap<object, string>()

/** A class learns its noun from its own id: the export whose namespace gives the same id for the same name. */
function nounOf(facade: object, ctx: DurableObjectState): string {
  const known = nouns.get(facade)
  if (known) return known
  const { name } = ctx.id
  const { jurisdiction } = ctx.id as { jurisdiction?: string }
  for (const [noun, value] of Object.entries(exports as unknown as Record<string, unknown>)) {
    if (name !== undefined && isNamespace(value) && inJurisdiction(value, jurisdiction).idFromName(name).equals(ctx.id)) {
      nouns.set(facade, noun)
      return noun
    }
  }
  throw new DotdoError(
    'NOUN_UNNAMED',
    `An object (${ctx.id.toString()}) was reached by an id without a name, or its class is not exported. Reach objects by name: this.Noun('main').`,
    {
      data: { id: ctx.id.toString() },
    },
  )
}

export type { Shape }
