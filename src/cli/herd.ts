// A pool that only probes: made from a URL or the environment, never asked for a client. Names its target in words, without a
// password. Its warnings are handed on, since a terminal that is redrawn has no place for them.

import pg from 'pg'
import { type Config, resolveConfig } from '../config/config.js'
import type { Environment, Seed } from '../config/hosts.js'
import { keyOf } from '../core/cluster/address.js'
import { printable } from '../core/words.js'
import { createPool } from '../pool/pool.js'
import type { Pool } from '../pool/types.js'
import type { TopologySnapshot } from '../report/types.js'
import type { Clock } from '../runtime/clock.js'
import type { Wanted } from './args.js'
import { isSettled } from './settled.js'

export interface Looking {
  readonly pool: Pool
  readonly config: Config
  /** user@host:port,host:port/database */
  readonly target: string
}

/** A mistake of the caller's, in words for them. */
export class Mistake extends Error {}

export function lookAt({ url, maxLagMillis, discovery }: Wanted, environment: Environment): Looking {
  const connectionString = url ?? (environment.DATABASE_URL || null)
  const options = {
    maxLagMillis,
    ...(discovery === null ? {} : { discovery }),
    ...(connectionString === null ? {} : { connectionString }),
  }
  try {
    const config = resolveConfig(options, environment, pg.defaults)
    // The constructor reads process.env, as pg does.
    return { pool: new (createPool(pg))(options), config, target: targetOf(config.seeds, config.client, environment) }
  } catch (error) {
    throw new Mistake(mistakeOf(error))
  }
}

export function targetOf(
  seeds: readonly Seed[],
  client: Readonly<Record<string, unknown>>,
  environment: Environment
): string {
  const user = String(client.user || environment.PGUSER || environment.USER || '')
  const database = String(client.database || environment.PGDATABASE || user)
  return printable(
    `${user === '' ? '' : `${user}@`}${seeds.map(keyOf).join(',')}${database === '' ? '' : `/${database}`}`
  )
}

/** Node's own errors about URLs say little, and a URL may hold a password: it is not repeated. */
export function mistakeOf(error: unknown): string {
  const { code, message } = error as { readonly code?: unknown; readonly message?: unknown }
  if (code !== 'ERR_INVALID_URL') return String(message ?? error)
  return (
    'the URL cannot be read. It looks like postgres://user:password@host:5432,otherhost/database, a port is at most 65535, and ' +
    'these characters in a user or password are written as %2F (/), %40 (@), %3A (:), %3F (?), %23 (#), %25 (%)'
  )
}

const POLL_MILLIS = 50

/** Waits until every server has answered or failed to, or time is up. */
export async function lookAround(
  { pool, config }: Looking,
  clock: Clock,
  millis: number
): Promise<{ readonly snapshot: TopologySnapshot; readonly settled: boolean }> {
  const startedAt = clock.mono()
  for (;;) {
    // Every call of health() keeps the pool probing.
    pool.health()
    const snapshot = pool.topology()
    const waited = clock.mono() - startedAt
    const settled = isSettled(snapshot, config.seeds, waited)
    if (settled || waited >= millis) return { snapshot, settled }
    await pause(clock, Math.min(POLL_MILLIS, millis - waited))
  }
}

export function pause(clock: Clock, millis: number): Promise<void> {
  return new Promise((resolve) => clock.alarm(millis, resolve, 'process'))
}
