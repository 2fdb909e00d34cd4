// The contract's three subjects: pg.Pool on one server as the control, pgherd's Pool on one server, and pgherd's Pool on a
// primary with one caught-up replica.

import assert from 'node:assert/strict'
import pg from 'pg'
import { Pool, type PoolConfig } from '../../src/index.js'
import type { SubjectId } from './exceptions.js'
import { clusterOf, type Replicas, ROLE } from './servers.js'

export type PoolClass = new (options?: object | null) => pg.Pool

interface Address {
  readonly host: string
  readonly port: number
}

interface Left {
  readonly pool: pg.Pool
  readonly out: Set<pg.PoolClient>
  closing: boolean
}

const open = new Set<Left>()
const admins = new Set<pg.Client>()
const warnings: Error[] = []
const expected: RegExp[] = []

/** What a test needs of its subject. Nothing of it depends on `this`. */
export class Subject {
  readonly id: SubjectId
  readonly Pool: PoolClass
  readonly #replicas: Replicas

  constructor(id: SubjectId, Class: PoolClass, replicas: Replicas) {
    this.id = id
    this.Pool = Class
    this.#replicas = replicas
  }

  readonly #addresses = (): Address[] => clusterOf(this.#replicas).nodes.map(({ host, port }) => ({ host, port }))

  readonly primary = (): Address => this.#addresses()[0] ?? assert.fail('no servers')

  /** Everything that a pool needs to reach the subject's servers. */
  readonly options = (more: object = {}): PoolConfig => {
    const all = this.#addresses()
    // However busy the machine is, the replica is not late.
    const lists = { host: all.map(({ host }) => host), port: all.map(({ port }) => port), maxLagMillis: 10_000 }
    return { ...ROLE, ssl: false, ...(all.length > 1 ? lists : this.primary()), ...more }
  }

  /** The same as a connection string. */
  readonly url = (): string => {
    const hosts = this.#addresses().map(({ host, port }) => `${host}:${port}`)
    return `postgres://${ROLE.user}:${ROLE.password}@${hosts.join(',')}/${ROLE.database}`
  }

  /** A superuser's, on the primary. */
  readonly adminUrl = (): string => {
    const { host, port } = this.primary()
    return `postgres://postgres:postgres@${host}:${port}/${ROLE.database}`
  }

  /** A superuser on the primary. */
  readonly admin = async (): Promise<pg.Client> => {
    const client = await clusterOf(this.#replicas).connect(0, 'postgres')
    admins.add(client)
    return client
  }

  /** A new pool that has not looked at any server yet. */
  readonly cold = (more?: object): pg.Pool => this.track(new this.Pool(this.options(more)))

  /** A new pool; over several servers it knows them, and that the replica has caught up. */
  readonly pool = async (more?: object): Promise<pg.Pool> => {
    const pool = this.cold(more)
    if (this.#replicas > 0 && pool instanceof Pool) await (pool as Pool).ready({ replicas: this.#replicas })
    return pool
  }

  /** Ends the pool after the test. */
  readonly track = <P extends pg.Pool>(pool: P): P => {
    const left: Left = { pool, out: new Set(), closing: false }
    pool.on('release', (_, client) => left.out.delete(client))
    pool.on('acquire', (client) => {
      left.out.add(client)
      // Nobody is there any more to give it back.
      if (left.closing) setImmediate(() => left.out.has(client) && client.release(true))
    })
    open.add(left)
    return pool
  }

  /** Node may warn so in this test, because pg itself makes it. */
  readonly mayWarn = (message: RegExp): void => void expected.push(message)
}

export const SUBJECTS: readonly Subject[] = [
  new Subject('pg', pg.Pool as PoolClass, 0),
  new Subject('one server', Pool as PoolClass, 0),
  new Subject('replica', Pool as PoolClass, 1),
]

const warned = (warning: Error) => void warnings.push(warning)

export function watchWarnings(): void {
  process.on('warning', warned)
}

/** Ends what a test left, whatever happened in it. No subject may have made Node warn. */
export async function cleanUp(): Promise<void> {
  const ends = [...open].map((left) => {
    left.closing = true
    const end = left.pool.ending ? undefined : left.pool.end()
    for (const client of [...left.out]) client.release(true)
    return end
  })
  open.clear()
  await Promise.all([...ends, ...[...admins].map((client) => client.end())])
  admins.clear()
  process.off('warning', warned)
  const unexpected = warnings.filter(({ message }) => !expected.some((known) => known.test(message)))
  warnings.length = 0
  expected.length = 0
  assert.deepEqual(unexpected, [])
}
