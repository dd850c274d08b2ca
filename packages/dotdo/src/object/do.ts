import { DurableObject, exports } from 'cloudflare:workers'
import { DotdoError } from '../base/errors.ts'
import type { LinkMessage, LinkReply } from '../rpc/frames.ts'
import { readDefinition, type Shape } from './definition.ts'
import { ObjectHost } from './host.ts'
import { isNamespace } from './nouns.ts'
import type { DotdoObject, Nouns } from './self.ts'

/** The public methods of a definition, as a native stub of its class sees them. */
export type Reachable<T> = {
  [K in keyof T as K extends 'init' | `_${string}` ? never : T[K] extends (...args: never[]) => unknown ? K : never]: T[K]
}

/**
 * The class that {@link DO.extend} makes: a Durable Object class, to be exported by its noun. `InstanceType` of it is what a client is typed by.
 */
export type DurableObjectClass<T> = new (ctx: DurableObjectState, env: unknown) => DurableObject & Reachable<T>

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
  extend<T extends object>(definition: T & ThisType<T & DotdoObject & Nouns>): DurableObjectClass<T> {
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

      dotdoInspect(message: LinkMessage): Promise<LinkReply> {
        return this.#host.inspect(message)
      }

      override async fetch(request: Request): Promise<Response> {
        if (request.headers.get('upgrade') === 'websocket') return this.#host.live.accept()
        return new Response('Objects answer calls, not requests: use dotdo/client.\n', { status: 404 })
      }

      override alarm(): Promise<void> {
        return this.#host.alarm()
      }

      override webSocketMessage(): void {
        // Watchers only listen; pings are answered by the platform.
      }

      override webSocketClose(socket: WebSocket): void {
        socket.close()
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
  const name = ctx.id.name
  for (const [noun, value] of Object.entries(exports as unknown as Record<string, unknown>)) {
    if (name !== undefined && isNamespace(value) && value.idFromName(name).equals(ctx.id)) {
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
