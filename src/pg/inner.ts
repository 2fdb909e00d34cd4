// What a pool over pools needs of pg-pool, and pg-pool keeps to itself.

import type { Client } from 'pg'
import type { InnerPool } from './internals.js'

/** All its clients, those that log in too. */
export function clientsOf(inner: InnerPool): readonly Client[] {
  return inner._clients
}

export function idleClients(inner: InnerPool): readonly Client[] {
  return inner._idle.map(({ client }) => client)
}

export function isIdleIn(inner: InnerPool, client: Client): boolean {
  return inner._idle.some((item) => item.client === client)
}

export function hasIdle(inner: InnerPool): boolean {
  return inner._idle.length > 0
}

/** A client is idle, or can be made at once. */
export function hasRoom({ _idle, _clients, _pendingQueue, options }: InnerPool): boolean {
  return _idle.length > _pendingQueue.length || _clients.length < options.max
}

export function isAwaited({ _pendingQueue }: InnerPool): boolean {
  return _pendingQueue.length > 0
}

/** How many wait for a client. */
export function waitersOf({ _pendingQueue }: InnerPool): number {
  return _pendingQueue.length
}

/** Tells `reason` to those that wait for a client: pg-pool never answers them when it ends. */
export function rejectWaiters({ _pendingQueue }: InnerPool, reason: Error): void {
  for (const { callback } of _pendingQueue.splice(0)) callback(reason, undefined, () => {})
}

/** Its lifetime is over, or it was used as often as it may be (`maxLifetimeSeconds`, `maxUses`). `uses`: those not counted yet. */
export function isSpent({ _expired, options }: InnerPool, client: Client, uses: number): boolean {
  const { _poolUseCount = 0 } = client as { _poolUseCount?: number }
  return _expired?.has(client) === true || _poolUseCount + uses >= (options.maxUses ?? Infinity)
}

/** It was used so many times more than it was given out. */
export function addUses(client: Client, uses: number): void {
  const counted = client as { _poolUseCount?: number }
  counted._poolUseCount = (counted._poolUseCount ?? 0) + uses
}

/** Called while the client is being released: it is not kept. */
export function expire(inner: InnerPool, client: Client): void {
  inner._expired?.add(client)
}
