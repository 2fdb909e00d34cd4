// CPU and allocated bytes of one call out of many, and the heap after a collection.

import { AsyncResource } from 'node:async_hooks'

export interface Cost {
  readonly cpuMicros: number
  readonly bytes: number
}

const WARM_UP = 2000
const BATCH = 100
/** So few that the young generation has room for what they allocate, and is not collected. */
const COUNTED = 200

/** Needs `--expose-gc`. */
export function collected(): number {
  const { gc } = globalThis as { readonly gc?: () => void }
  if (gc === undefined) throw new Error('run it with --expose-gc')
  gc()
  gc()
  return process.memoryUsage().heapUsed
}

/** Of `calls` calls, 100 at a time. */
export async function costOf(calls: number, call: (index: number) => Promise<unknown>): Promise<Cost> {
  for (let i = 0; i < Math.min(WARM_UP, calls); i++) await call(i)
  const bytes = await bytesOf(call)
  const cpu = process.cpuUsage()
  for (let i = 0; i < calls; i += BATCH) {
    const batch: Promise<unknown>[] = []
    for (let j = i; j < Math.min(calls, i + BATCH); j++) batch.push(call(j))
    await Promise.all(batch)
  }
  const { user, system } = process.cpuUsage(cpu)
  return { cpuMicros: (user + system) / calls, bytes }
}

/** What the heap grows by, per call, while nothing is collected. */
async function bytesOf(call: (index: number) => Promise<unknown>): Promise<number> {
  const before = collected()
  for (let i = 0; i < COUNTED; i++) await call(i)
  return (process.memoryUsage().heapUsed - before) / COUNTED
}

/** Runs a function in the asynchronous context of this moment. */
export function keptContext(): <T>(run: () => T) => T {
  const resource = new AsyncResource('bench')
  return (run) => resource.runInAsyncScope(run)
}
