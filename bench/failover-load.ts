// One contender under load, in a thread of its own: what it does while there is no primary must not delay whoever holds the
// stopwatch. Writers number their rows; every acknowledgement and every error is noted with its time.

import { once } from 'node:events'
import { setTimeout as pause } from 'node:timers/promises'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import pg from 'pg'
import { Pool } from 'pgherd'
import postgres from 'postgres'
import { Pool as PostgresPool } from 'postgres-pool'

const WRITERS = 4
const READERS = 4
const PAUSE_MILLIS = 2
/** A hasty caller: long enough not to flood the log of a server that is starting. */
const PAUSE_AFTER_ERROR_MILLIS = 5

/** What a contender is told of the cluster: all servers, and an address that is moved to the primary. */
export interface Place {
  readonly user: string
  readonly password: string
  readonly database: string
  readonly hosts: readonly string[]
  readonly ports: readonly number[]
  readonly moved: number
}

interface Contender {
  write(id: number): Promise<unknown>
  read(id: number): Promise<unknown>
  /** When it knew of the new primary, where it says so. */
  noticedAt?(): number | null
}

interface Queryable {
  query(text: string, values: unknown[]): Promise<unknown>
}

const INSERT = 'insert into ledger values ($1)'
const SELECT = 'select id from ledger where id = $1'

function through(pool: Queryable): Contender {
  return { write: (id) => pool.query(INSERT, [id]), read: (id) => pool.query(SELECT, [id]) }
}

/** Each as its documentation has it for this cluster, with its own defaults, and 10 connections. */
export const CONTENDERS: Readonly<Record<string, (place: Place) => Contender>> = {
  pgherd({ user, password, database, hosts, ports }) {
    const pool = new Pool({ user, password, database, host: hosts, port: ports })
    let at: number | null = null
    pool.on('failover', () => {
      at = monotonic()
    })
    return { ...through(pool), noticedAt: () => at }
  },
  'pg.Pool, moved address'({ user, password, database, moved }) {
    const pool = new pg.Pool({ user, password, database, host: '127.0.0.1', port: moved })
    pool.on('error', () => {})
    return through(pool)
  },
  'postgres-pool, moved address'({ user, password, database, moved }) {
    const pool = new PostgresPool({ user, password, database, host: '127.0.0.1', port: moved })
    pool.on('error', () => {})
    return through(pool)
  },
  'postgres.js, host list'({ user, password, database, hosts, ports }) {
    const list = hosts.map((host, i) => `${host}:${ports[i]}`).join(',')
    const url = `postgres://${user}:${password}@${list}/${database}`
    const sql = postgres(url, { target_session_attrs: 'primary', onnotice: () => {} })
    return {
      write: async (id) => sql`insert into ledger values (${id})`,
      read: async (id) => sql`select id from ledger where id = ${id}`,
    }
  },
}

export interface Slip {
  /** Milliseconds on the machine's monotonic clock. */
  readonly at: number
  readonly code: string
  readonly writing: boolean
}

export interface Tally {
  readonly acknowledged: readonly { readonly id: number; readonly at: number }[]
  readonly errors: readonly Slip[]
  readonly noticedAt: number | null
}

/** The same clock in every thread. */
export const monotonic = () => Number(process.hrtime.bigint()) / 1e6

/** Runs one contender; tells each acknowledgement's count, and everything when asked to stop. */
export class Load {
  readonly #worker: Worker
  #acknowledged = 0

  constructor(name: string, place: Place) {
    this.#worker = new Worker(new URL(import.meta.url), { workerData: { name, place } })
    this.#worker.on('message', (message: unknown) => {
      if (message === 'acknowledged') this.#acknowledged++
    })
  }

  async progress(rows: number, millis: number): Promise<boolean> {
    const [goal, deadline] = [this.#acknowledged + rows, monotonic() + millis]
    while (this.#acknowledged < goal && monotonic() < deadline) await pause(2)
    return this.#acknowledged >= goal
  }

  async stop(): Promise<Tally> {
    this.#worker.postMessage('stop')
    const tally = await new Promise<Tally>((resolve) => {
      this.#worker.on('message', (message: unknown) => {
        if (typeof message === 'object') resolve(message as Tally)
      })
    })
    await this.#worker.terminate()
    return tally
  }
}

async function load(name: string, place: Place): Promise<void> {
  const contender = CONTENDERS[name]?.(place)
  if (contender === undefined || parentPort === null) throw new Error(`no contender ${name}`)
  const port = parentPort
  const acknowledged: { id: number; at: number }[] = []
  const errors: Slip[] = []
  let [next, stopped] = [0, false]
  const trying = async (writing: boolean, work: () => Promise<unknown>) => {
    try {
      await work()
      await pause(PAUSE_MILLIS)
    } catch (error) {
      const { code, message } = error as { code?: string; message?: string }
      errors.push({ at: monotonic(), code: code ?? message ?? String(error), writing })
      await pause(PAUSE_AFTER_ERROR_MILLIS)
    }
  }
  const write = async () => {
    const id = next++
    await contender.write(id)
    acknowledged.push({ id, at: monotonic() })
    port.postMessage('acknowledged')
  }
  const repeat = async (writing: boolean, work: () => Promise<unknown>) => {
    while (!stopped) await trying(writing, work)
  }
  for (let i = 0; i < WRITERS; i++) void repeat(true, write)
  for (let i = 0; i < READERS; i++) void repeat(false, () => contender.read(next))
  await once(port, 'message')
  stopped = true
  // What is under way is given up: nobody waits for a contender that is stuck.
  await pause(50)
  port.postMessage({ acknowledged, errors, noticedAt: contender.noticedAt?.() ?? null } satisfies Tally)
}

if (!isMainThread) {
  const { name, place } = workerData as { readonly name: string; readonly place: Place }
  await load(name, place)
}
