// PgBouncer in transaction mode before every server. It lends one server connection to many clients, so what one client sets
// for its session, its neighbours have.

import pg from 'pg'
import type { Pool } from '../../src/index.js'
import { missingPgBouncer, type PgBouncer, startPgBouncer } from '../support/pgbouncer.js'
import type { Arena } from './arena.js'
import { type Fault, NONE } from './fault.js'

const POOLS = 4
const WRITES_PER_POOL = 10
/** What a session has that nobody has changed. */
const SETTINGS = `select current_setting('search_path') as path, current_setting('statement_timeout') as timeout,
  current_setting('transaction_isolation') as isolation, current_setting('transaction_read_only') as readonly,
  (select count(*) from scratch where n < 0) as found`
const UNCHANGED = JSON.stringify({
  path: '"$user", public',
  timeout: '0',
  isolation: 'read committed',
  readonly: 'off',
  found: '0',
})

/** The roles that PgBouncer knows, with and without pg_monitor. */
const userOf = ({ role }: Arena) => (role === 'monitor' ? 'monitor' : 'app')

/** A plain client next door, of the same role, that looks at its settings until told to stop. */
class Neighbour {
  readonly #client: pg.Client
  readonly #found: string[]
  #stopped = false
  #looking: Promise<void> = Promise.resolve()

  constructor({ host, port }: PgBouncer, user: string, found: string[]) {
    this.#client = new pg.Client({ host, port, user, password: user, database: 'app', ssl: false })
    // From then on each statement fails at once, and one that loops would let nothing else happen.
    this.#client.on('error', ({ message }) => {
      if (!this.#stopped) found.push(`neighbour: behind PgBouncer a client next door lost its connection: ${message}`)
      this.#stopped = true
    })
    this.#found = found
  }

  async move(isReplica: boolean): Promise<void> {
    await this.#client.connect()
    const unchanged = isReplica ? UNCHANGED.replace('"off"', '"on"') : UNCHANGED
    this.#looking = this.#look(unchanged)
  }

  async #look(unchanged: string): Promise<void> {
    while (!this.#stopped) {
      const seen = await this.#client.query(SETTINGS).then(
        ({ rows }) => JSON.stringify(rows[0]),
        ({ code, message }: { code?: string; message: string }) => `${code} ${message}`
      )
      if (seen !== unchanged && !this.#stopped)
        this.#found.push(`neighbour: behind PgBouncer a client next door had ${seen}`)
    }
  }

  async leave(): Promise<void> {
    this.#stopped = true
    await this.#looking
    await this.#client.end()
  }
}

async function writeAndRead(pool: Pool, first: number): Promise<void> {
  await pool.ready()
  for (let i = first; i < first + WRITES_PER_POOL; i++) {
    await pool.query('insert into scratch values ($1)', [i])
    const { rows } = await pool.query<{ n: number }>('select count(*)::int as n from scratch where n = $1', [i])
    if (rows[0]?.n !== 1) throw new Error(`own write: ${rows[0]?.n} rows of the one just written`)
  }
}

async function between(arena: Arena, poolers: readonly PgBouncer[]): Promise<void> {
  const user = userOf(arena)
  const neighbours = poolers.map((pooler) => new Neighbour(pooler, user, arena.found))
  await Promise.all(neighbours.map((each, node) => each.move(node !== arena.primary)))
  try {
    // Cold ones: a pool asks most when it is new.
    for (let i = 0; i < POOLS; i++) {
      const pool = arena.another({
        user,
        password: user,
        ssl: false,
        host: poolers.map(({ host }) => host),
        port: poolers.map(({ port }) => port),
      })
      try {
        await writeAndRead(pool, 1_000_000 + i * WRITES_PER_POOL)
      } catch (error) {
        arena.found.push(`behind PgBouncer: ${String(error)}`)
      } finally {
        await pool.end()
      }
    }
  } finally {
    await Promise.all(neighbours.map((each) => each.leave()))
  }
}

let told = false

export const POOLER_FAULTS: readonly Fault[] = [
  {
    name: 'PgBouncer in transaction mode is in between',
    cut: NONE,
    strike: async (arena) => {
      const missing = missingPgBouncer()
      if (missing !== null) {
        if (!told) console.log(`      (no PgBouncer in between: ${missing})`)
        told = true
        return
      }
      const poolers: PgBouncer[] = []
      try {
        for (const node of arena.nodes) poolers.push(await startPgBouncer(node, 'transaction'))
        await between(arena, poolers)
        // The next one may play it again.
        await arena.asOwner(arena.primary, ['delete from scratch where n >= 1000000'])
      } finally {
        await Promise.all(poolers.map((pooler) => pooler.close()))
      }
    },
  },
]
