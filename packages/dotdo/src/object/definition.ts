/**
 * What `DO.extend({...})` takes apart: fields, methods and getters, checked once when the class is made, so that a mistake is an error at
 * the start of the Worker and not in the night.
 */
import { DotdoError } from '../base/errors.ts'
import { isPublicName, type PublicNames } from '../rpc/reach.ts'
import type { DotdoObject } from './self.ts'

/** A definition, taken apart. */
export interface Shape {
  /** Values that each object gets a copy of. */
  fields: Record<string, unknown>
  /** Own property descriptors of everything that is shared: methods, getters, setters. */
  shared: PropertyDescriptorMap
  /** What can be reached from outside. */
  names: PublicNames
  /** Runs at the start of each incarnation. */
  init: ((this: object) => unknown) | undefined
}

/** Names of the framework: what stands on `this`, what the platform and links call, and what every object of JavaScript has. */
export type FrameworkName =
  | keyof DotdoObject
  | 'alarm'
  | 'dotdoCall'
  | 'dotdoLink'
  | 'fetch'
  | 'webSocketClose'
  | 'webSocketError'
  | 'webSocketMessage'
  | 'constructor'
  | 'prototype'
  | '__proto__'
  | 'then'

/** The same at run time. What is added to `this` has to be named here: the compiler sees to it. */
const reserved = {
  after: 0,
  alarm: 0,
  alerts: 0,
  at: 0,
  constructor: 0,
  ctx: 0,
  do: 0,
  dotdoCall: 0,
  dotdoLink: 0,
  env: 0,
  events: 0,
  every: 0,
  fetch: 0,
  id: 0,
  map: 0,
  on: 0,
  prototype: 0,
  runs: 0,
  send: 0,
  sleep: 0,
  sleepUntil: 0,
  then: 0,
  waitFor: 0,
  webSocketClose: 0,
  webSocketError: 0,
  webSocketMessage: 0,
  ['__proto__']: 0,
} satisfies Record<FrameworkName, 0>

/** Names on `this` that are the framework's: a definition that uses one of them is refused. */
export const frameworkNames: ReadonlySet<string> = new Set(Object.keys(reserved))

/** What a stub answers itself: a method by one of these names would never be called over a link. A field may have it. */
export type StubName =
  | 'catch'
  | 'dup'
  | 'finally'
  | 'onRpcBroken'
  | 'toJSON'
  | Exclude<keyof typeof Object.prototype, symbol | 'constructor'>
const stubNames: ReadonlySet<string> = new Set([
  'catch',
  'dup',
  'finally',
  'onRpcBroken',
  'toJSON',
  ...Object.getOwnPropertyNames(Object.prototype),
])

/**
 * Takes a definition apart.
 * @throws `NAME_RESERVED` for a member with a framework's name, and for a method with a stub's own; `FIELD_NOT_CLONABLE` for a field that cannot be copied for each object
 */
export function readDefinition(definition: object): Shape {
  const shape: Shape = { fields: {}, shared: {}, names: { methods: [], getters: [] }, init: undefined }
  for (const [name, descriptor] of Object.entries(Object.getOwnPropertyDescriptors(definition))) {
    if (frameworkNames.has(name)) {
      throw new DotdoError(
        'NAME_RESERVED',
        `A definition must not have a member named '${name}': that name is the framework's. Give it another one.`,
        { data: { name } },
      )
    }
    const isMethod = typeof descriptor.value === 'function'
    // Names with a colon are those that links call the framework by.
    if ((stubNames.has(name) || name.includes(':')) && (isMethod || descriptor.get)) {
      throw new DotdoError(
        'NAME_RESERVED',
        `A definition must not have a method named '${name}': stubs of every object answer to that name themselves, and it would never be called. Give it another one.`,
        { data: { name } },
      )
    }
    if (name === 'init' && isMethod) {
      shape.init = descriptor.value as Shape['init']
    } else if (isMethod || descriptor.get || descriptor.set) {
      shape.shared[name] = { ...descriptor, enumerable: false }
      if (!isPublicName(name)) continue
      if (isMethod) shape.names.methods.push(name)
      else if (descriptor.get) shape.names.getters.push(name)
    } else {
      shape.fields[name] = cloneField(name, descriptor.value)
    }
  }
  return shape
}

/** A fresh copy of the fields: what one object writes to its own, no other object sees. */
export function cloneFields(shape: Shape): Record<string, unknown> {
  const copy: Record<string, unknown> = {}
  for (const name in shape.fields) copy[name] = cloneField(name, shape.fields[name])
  return copy
}

function cloneField(name: string, value: unknown): unknown {
  try {
    return structuredClone(value)
  } catch (cause) {
    throw new DotdoError(
      'FIELD_NOT_CLONABLE',
      `The field '${name}' cannot be copied for each object: ${cause instanceof Error ? cause.message : String(cause)}. Start it as null and set it in init().`,
      {
        data: { name },
        cause,
      },
    )
  }
}
