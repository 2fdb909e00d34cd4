// Counts what operations cost without a clock: bytes, promises, listeners and socket writes. What a pool does in the background, and
// the compiler, can only add to that. So the same is counted in several batches, and the least is what the operations cost.

import { EventEmitter } from 'node:events'
import { Socket } from 'node:net'
import { promiseHooks } from 'node:v8'

/** Does the operation with that number. */
export type Operation = (n: number) => Promise<unknown>

/** Per operation. */
export interface Counts {
  /** On JavaScript's heap; buffers of sockets are not there. */
  readonly bytes: number
  readonly promises: number
  /** Of event emitters and of abort signals. */
  readonly listeners: number
  /** One for what is written together. */
  readonly writes: number
}

export interface Plan {
  readonly callers: number
  /** Operations in a batch. */
  readonly operations: number
  readonly batches: number
}

let numbered = 0
const tally = { promises: 0, listeners: 0, writes: 0 }

/** `name` of `prototype` counts its calls from now on. */
function count<T extends object>(prototype: T, name: keyof T & string, what: 'listeners' | 'writes'): void {
  const original = prototype[name] as (...args: unknown[]) => unknown
  const counting = function (this: unknown, ...args: unknown[]) {
    tally[what]++
    return original.apply(this, args)
  }
  Object.defineProperty(prototype, name, { value: counting, writable: true, configurable: true })
}

/** Once per process, before any connection. once() and the like go by these, too. */
export function install(): void {
  for (const name of ['on', 'addListener', 'prependListener'] as const) count(EventEmitter.prototype, name, 'listeners')
  count(EventTarget.prototype, 'addEventListener', 'listeners')
  for (const name of ['_write', '_writev'] as const) count(Socket.prototype, name, 'writes')
}

export async function batch(operation: Operation, { callers, operations }: Plan): Promise<void> {
  let left = operations
  const caller = async () => {
    while (left-- > 0) await operation(numbered++)
  }
  await Promise.all(Array.from({ length: callers }, caller))
}

/** The heap only grows meanwhile: guard.ts gives it a young generation that is large enough. */
async function bytesOf(operation: Operation, plan: Plan): Promise<number> {
  globalThis.gc?.()
  const before = process.memoryUsage().heapUsed
  await batch(operation, plan)
  return process.memoryUsage().heapUsed - before
}

async function othersOf(operation: Operation, plan: Plan): Promise<Omit<Counts, 'bytes'>> {
  Object.assign(tally, { promises: 0, listeners: 0, writes: 0 })
  const stop = promiseHooks.onInit(() => tally.promises++)
  await batch(operation, plan)
  stop()
  return { ...tally }
}

/** Of both, a batch of each in turn: what changes while they run changes for both. */
export async function countsOf(
  operations: readonly [Operation, Operation],
  plan: Plan
): Promise<readonly [Counts, Counts]> {
  const lanes = operations.map((operation) => ({
    operation,
    bytes: [] as number[],
    others: [] as Omit<Counts, 'bytes'>[],
  }))
  for (let i = 0; i < plan.batches; i++) for (const { operation } of lanes) await batch(operation, plan)
  for (let i = 0; i < plan.batches; i++) {
    for (const { operation, bytes } of lanes) bytes.push(await bytesOf(operation, plan))
  }
  for (let i = 0; i < plan.batches; i++) {
    for (const { operation, others } of lanes) others.push(await othersOf(operation, plan))
  }
  const each = (values: readonly number[]) => Math.min(...values) / plan.operations
  return lanes.map(({ bytes, others }) => ({
    bytes: each(bytes),
    promises: each(others.map(({ promises }) => promises)),
    listeners: each(others.map(({ listeners }) => listeners)),
    writes: each(others.map(({ writes }) => writes)),
  })) as unknown as readonly [Counts, Counts]
}
