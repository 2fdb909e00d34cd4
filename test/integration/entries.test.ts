// Every field of a statement at every entry: the answer is that of pg.Pool on the primary, and the server the one that the
// documents promise.

import assert from 'node:assert/strict'
import type pg from 'pg'
import type { Client, QueryResult } from 'pg'
import type { Pool, PoolConfig } from '../../src/index.js'
import { type Cluster, startCluster } from '../support/cluster.js'
import { allIdle, ENTRIES, ENTRY_NAMES, type EntryName, type Seen, type Server, settled } from '../support/entries.js'
import { endOracles, oracleOn } from '../support/oracle.js'
import { endPools, eventually, poolOn } from '../support/pools.js'
import type { Case, Servers } from '../support/statement-case.js'
import { FIELDS } from '../support/statement-fields.js'

const OPTIONS: PoolConfig = {
  maxLagMillis: Infinity,
  readYourWrites: 'off',
  replicaSafeFunctions: ['inet_server_port'],
}

describe('the fields of a statement at every entry', () => {
  let cluster: Cluster
  let admins: readonly Client[]
  let oracle: pg.Pool
  let pool: Pool
  before(async () => {
    cluster = await startCluster({ replicas: 1 })
    await cluster.streaming(0, 1)
    admins = await Promise.all([cluster.connect(0, 'postgres'), cluster.connect(1, 'postgres')])
  })
  /** One for all entries of a case, and another one when a test has failed: what that has left is not for the next. */
  let isFresh = false
  beforeEach(async () => {
    oracle = oracleOn(cluster)
    if (!isFresh) pool = poolOn(cluster, OPTIONS)
    isFresh = true
    await pool.ready({ replicas: 1 })
  })
  const renew = async () => {
    isFresh = false
    await endPools()
  }
  afterEach(async function () {
    await endOracles()
    if (this.currentTest?.state === 'failed') await renew()
  })
  after(async () => {
    await endPools()
    await cluster.destroy()
  })

  const isRunning = async (mark: string) => {
    const text = "select 1 from pg_stat_activity where state = 'active' and strpos(query, $1) > 0"
    const found = await Promise.all(admins.map((admin) => admin.query(text, [mark])))
    return found.some(({ rowCount }) => rowCount !== 0)
  }
  const servers: Servers = {
    runs: (mark) => eventually(`a server runs ${mark}`, () => isRunning(mark)),
    isOver: (mark) => eventually(`no server runs ${mark}`, async () => !(await isRunning(mark))),
  }

  /** What came of it, without the ports in it, and the server whose port it was. */
  function shown(seen: Seen): { readonly answer: unknown; readonly server: Server | null } {
    const text = JSON.stringify('error' in seen ? { error: errorOf(seen.error) } : { value: plain(seen.value) })
    const ports = cluster.nodes.map(({ port }) => String(port))
    const answer = ports.reduce((whole, port) => whole.replaceAll(port, '0'), text)
    const [primary, replica] = ports.map((port) => text.includes(port))
    assert.ok(!(primary && replica), `parts of it ran on either server: ${text}`)
    return { answer: JSON.parse(answer), server: primary ? 'primary' : replica ? 'replica' : null }
  }

  async function answers(test: Case, name: EntryName): Promise<void> {
    const entry = ENTRIES[name]
    const but = test.but?.[name]
    const run = (on: pg.Pool) => entry.use(on, (face) => settled(() => test.ask(face, servers)))
    const { answer, server } = shown(await run(pool))
    assert.deepEqual(answer, test.expected ?? shown(await run(oracle)).answer)
    if (server !== null) assert.equal(server, but?.server ?? test.server ?? entry.home, but?.reason)
    await allIdle(pool)
  }

  for (const [field, cases] of Object.entries(FIELDS)) {
    for (const [title, test] of Object.entries(cases)) {
      describe(`${field}: ${title}`, () => {
        after(renew)
        for (const name of ENTRY_NAMES) {
          if (!test.but?.[name]?.absent) it(name, () => answers(test, name))
        }
      })
    }
  }

  it('has cases for every field, and a reason for every entry that differs', () => {
    for (const [field, cases] of Object.entries(FIELDS)) {
      assert.ok(Object.keys(cases).length > 0, field)
      for (const { but = {} } of Object.values(cases)) {
        for (const { reason } of Object.values(but)) assert.ok(reason.length > 10, field)
      }
    }
  })
})

function errorOf(error: unknown): unknown {
  const { code, message } = error as { readonly code?: string; readonly message?: string }
  return { code, message }
}

function plain(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(plain)
  if (value instanceof Error) return errorOf(value)
  const { command, rowCount, rows, fields } = (value ?? {}) as Partial<QueryResult>
  return fields === undefined ? value : { command, rowCount, rows, fields }
}
